"""Bank files: debits out, their results and statements in."""

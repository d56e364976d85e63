"""REST: the operations table over HTTP."""

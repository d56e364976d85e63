"""Usage: billable events, each once; what they add up to."""

"""The command line: what an operator does beside the server."""

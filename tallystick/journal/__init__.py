"""The journal: every message kept once, with its answer."""

"""Correcting: usage that was recorded wrongly is amended or taken back by a later fact, never rewritten."""

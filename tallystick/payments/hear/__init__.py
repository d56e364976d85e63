"""Hear: what providers tell by webhook is kept, and wakes what it is about."""

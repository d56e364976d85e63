"""Rebuild: a book made anew from its kept messages, and held against what is stored of it."""

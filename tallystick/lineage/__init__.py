"""Lineage: what a message made, and what lies behind and ahead of any record."""

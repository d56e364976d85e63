"""Totals: usage added up by hour as it comes in, read so that they always equal the raw sum, and checked against it."""

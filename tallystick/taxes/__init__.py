"""Taxes: rates as data, and the pure arithmetic that makes amounts of them."""

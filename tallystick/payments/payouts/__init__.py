"""Payouts: what providers report line by line, held against the ledger."""

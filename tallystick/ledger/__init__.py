"""The ledger: balances that are sums of appended operations, and a log that proves each."""

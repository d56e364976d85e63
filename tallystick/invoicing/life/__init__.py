"""The life of an invoice: what becomes of it after its issue, each step a fact with its time."""

"""Payments under fire: customers pay, servers are killed, the provider misbehaves by a seed, and the books are audited."""

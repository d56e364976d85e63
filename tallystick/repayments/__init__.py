"""Money that customers pay back: received, placed on invoices by a policy, given back, collected in one charge."""

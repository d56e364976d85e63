"""Prepaid credits: each grant an account of the ledger, drawn down in order by invoices."""

"""Invoicing: usage at its price becomes drafts, drafts become numbered invoices that the ledger holds."""

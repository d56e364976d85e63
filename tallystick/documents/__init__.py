"""What is sent out: invoices as PDF and as electronic invoice, and the parties that they name."""

"""Stripe as a payment provider, through its official SDK."""

"""Disputes: money of a payment that the customer's bank wants back, held by the provider until it is decided."""

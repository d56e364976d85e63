"""Refunds: money of a payment that goes back the way it came, once and never more than was taken."""

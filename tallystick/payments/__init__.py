"""Payments: money taken through an outside provider, exactly once."""

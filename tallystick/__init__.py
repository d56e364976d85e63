"""Tallystick: from a billable request to a receipt that anyone can check."""

__version__ = "0.1.0"

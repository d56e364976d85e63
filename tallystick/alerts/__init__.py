"""Alerts: rules, as data, over what was recorded; what goes beyond one is told once."""

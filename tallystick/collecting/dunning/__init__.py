"""Dunning: reminders by rule, and the fees of being late."""

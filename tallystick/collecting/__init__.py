"""Collecting: files of banks, slips of stores, reminders and late fees."""

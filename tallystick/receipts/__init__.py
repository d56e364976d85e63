"""Receipts: what a customer holds, and checks without trusting anybody but the log's key."""

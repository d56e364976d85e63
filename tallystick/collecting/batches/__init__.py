"""Batches: what a run over all customers came to, kept chunk by chunk."""

"""Subscriptions: who has which plan in which quantity when, and what each billing period comes to."""

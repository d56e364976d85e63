"""Telling others: events kept in the transaction that they tell of, and delivered as signed webhooks."""

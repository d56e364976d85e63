"""PayPal as a payment provider, over its REST API."""

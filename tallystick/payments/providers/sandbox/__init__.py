"""The sandbox: a payment provider of our own, a process like a real one, whose failures can be ordered."""

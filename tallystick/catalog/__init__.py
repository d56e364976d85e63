"""The catalog: what is metered, and what it costs from when."""

"""The store: the embedded server, connections, migrations and named SQL."""

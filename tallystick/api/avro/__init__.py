"""Avro RPC: usage over HTTP and over plain sockets, as the specification has it."""

"""Benchmarks: one module bench_*.py a subject, one table for all (``make bench``)."""

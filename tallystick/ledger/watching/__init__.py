"""Watching a log: monitors that follow it from outside, and witnesses that cosign it."""

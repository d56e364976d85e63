"""Interfaces: each decodes what a caller sends, goes through the operations table, and words the answer."""

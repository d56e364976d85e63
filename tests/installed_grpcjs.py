"""@grpc/grpc-js and @grpc/proto-loader, gRPC for Node, as the tests that call the server from Node have them."""

import hashlib
from pathlib import Path

from tests.installed_avsc import ROOT, install

PEERS = ROOT / "tests" / "conformance" / "grpcjs"


def installed_grpcjs() -> Path:
    """Return a directory with both in it, pinned by their hashes; installed once, and again when a pin changes."""
    pinned = hashlib.sha256((PEERS / "package-lock.json").read_bytes()).hexdigest()
    cache = ROOT / ".cache" / f"grpcjs-{pinned[:12]}"
    if not cache.exists():
        install(PEERS, cache)
    return cache

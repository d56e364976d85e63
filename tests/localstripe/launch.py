"""
Run localstripe on loopback, on a port that is free, until standard input is closed; the first line is its address.

By itself it listens on every interface, and keeps what it holds in a file in /tmp that all its processes share.
"""

import os
import socket
import sys
import threading

from aiohttp import web
from localstripe import resources, server  # type: ignore[import-not-found]  # it lives in an environment of its own


def know_receipt_emails() -> None:
    """Let an intent have the address for Stripe's receipt, which localstripe takes for a mistake."""
    create = resources.PaymentIntent._api_create

    def create_with_email(receipt_email: str | None = None, **known: object) -> object:
        made = create(**known)
        made.receipt_email = receipt_email
        return made

    resources.PaymentIntent._api_create = create_with_email


def end_with_parent() -> None:
    """Wait until whoever started us is gone."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve."""
    resources.store.dump_to_disk = lambda: None
    know_receipt_emails()
    threading.Thread(target=end_with_parent, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    web.run_app(server.app, sock=listener, access_log=None, print=None)


if __name__ == "__main__":
    main()

"""
Serve the sandbox: ``python -m tallystick.payments.providers.sandbox --port 0 --state FILE``.

Listens on loopback alone, and prints one JSON line, ``{"listening": "http://127.0.0.1:PORT"}``, once it serves.
The secret comes from TALLYSTICK_PROVIDER_SECRET, never from the command line, where every user could read it.
"""

import argparse
import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with(parent: int | None) -> None:
    """
    Ask Linux to kill this process when its parent dies; elsewhere do nothing.

    *parent* is who started us, if it told: when it died before we asked, the asking came too late.
    Killing is safe, since the state file is made for it.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        raise SystemExit("the process that started the sandbox is gone")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tallystick.payments.providers.sandbox", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the file that remembers every transaction")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--hang-seconds", type=int, default=60, help="how long an ordered timeout hangs")
    parser.add_argument("--seed", type=int, default=0, help="decides, with --rates, what happens by itself")
    parser.add_argument("--rates", type=Path, help="a JSON file that says how often what happens by itself")
    parser.add_argument("--parent", type=int, help="the id of the process to die with")
    return parser.parse_args()


def listen(port: int) -> socket.socket:
    """Take *port* on loopback."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as refused:
        raise SystemExit(f"port {port}: {refused}") from refused
    return listener


def main() -> None:
    """Serve until told to stop."""
    arguments = read_arguments()
    die_with(arguments.parent)
    secret = os.environ.get("TALLYSTICK_PROVIDER_SECRET")
    if not secret:
        raise SystemExit("TALLYSTICK_PROVIDER_SECRET is not set")

    # Late, so that a parent's death is watched for before the slow part of starting.
    import uvloop  # noqa: PLC0415 - see above

    from tallystick.payments.providers.sandbox.plan import Plan, RatesUnusable, read_rates  # noqa: PLC0415 - see above
    from tallystick.payments.providers.sandbox.server import run  # noqa: PLC0415 - see above
    from tallystick.payments.providers.sandbox.state_file import StateFile, StateUnusable  # noqa: PLC0415 - see above

    listener = listen(arguments.port)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        plan = Plan(arguments.seed, None if arguments.rates is None else read_rates(arguments.rates))
        state = StateFile(arguments.state)
        serving = run(state, plan, secret, arguments.hang_seconds, listener, lambda: _announce(url))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
    except (StateUnusable, RatesUnusable) as unusable:
        raise SystemExit(str(unusable)) from unusable


def _announce(url: str) -> None:
    print(json.dumps({"listening": url}), flush=True)


if __name__ == "__main__":
    main()

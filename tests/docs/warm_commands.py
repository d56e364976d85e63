"""
Warm commands: a process that has loaded the command line, and forks for each command that a page runs.

A page runs a dozen commands, and each would load the same modules for half a second. What a fork runs is the product's own
`main`, with the words, directory, environment and streams of who asked. What runs in the background is started as ever,
since a page ends it by its process id. The tutorial and the scenarios start every command as a user does.
"""

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.runnable import BIN, ROOT

_ASK = """#!{python} -IS
import json, os, socket, sys
if {{"up", "listen"}} & {{*sys.argv[1:3]}}:
    os.execv({real!r}, ["tallystick", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    body = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(asked, [len(body).to_bytes(4, "big")], [0, 1, 2])
    asked.sendall(body)
    status = asked.recv(1)
sys.exit(status[0] if status else 70)
"""


@contextmanager
def warm_commands(directory: Path) -> Iterator[Path]:
    """Give a directory with a ``tallystick`` that is warm, for as long as the context lasts."""
    address = directory / "warm"
    shim = directory / "bin" / "tallystick"
    shim.parent.mkdir()
    shim.write_text(_ASK.format(python=sys.executable, real=str(BIN / "tallystick"), address=str(address)))
    shim.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.docs.warm_commands", str(address)],
        cwd=ROOT,
        env={**environment, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"warm\n"
            yield shim.parent
        finally:
            process.terminate()


def serve(address: str) -> None:
    """Load the command line, then fork for whoever asks."""
    for found in pkgutil.walk_packages(importlib.import_module("tallystick.cli").__path__, "tallystick.cli."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for them
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"warm\n")
        while True:
            asked, _ = listener.accept()
            if not os.fork():
                listener.close()
                _answer(asked)
            asked.close()


def _answer(asked: socket.socket) -> None:
    """Run one command in this process, which is its own, and tell its exit status."""
    size, streams, _, _ = socket.recv_fds(asked, 4, 3)
    body = b""
    while len(body) < int.from_bytes(size, "big"):
        body += asked.recv(65536)
    words, directory, environment = json.loads(body)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.argv = ["tallystick", *words]
    threading.Thread(target=_end_with, args=[asked], daemon=True).start()
    status = _run()
    for written in (sys.stdout, sys.stderr):
        written.flush()
    asked.sendall(bytes([status]))
    os._exit(status)


def _run() -> int:
    try:
        importlib.import_module("tallystick.cli.app").main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end_with(asked: socket.socket) -> None:
    """End when who asked has gone: it was told to end."""
    if not asked.recv(1):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(sys.argv[1])

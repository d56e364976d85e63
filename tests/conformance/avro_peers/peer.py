"""
Calls the server with the official Python implementation, which knows nothing of ours.

python peer.py < {"protocol": …, "key": …, "host": …, "port": …, "path": …, "calls": [{"message", "request"}]}
"""

import http.client
import json
import sys
from typing import Any

import avro.errors
import avro.ipc
import avro.protocol


class Transceiver(avro.ipc.HTTPTransceiver):
    """The library's own, with an API key."""

    def __init__(self, host: str, port: int, path: str, key: str) -> None:
        """Connect."""
        super().__init__(host, port, path)  # type: ignore[no-untyped-call]  # the library is typed in parts
        self.key = key

    def write_framed_message(self, message: bytes) -> None:
        """Send a call."""
        headers = {"Content-Type": "avro/binary", "Authorization": f"Bearer {self.key}"}
        framed = avro.ipc.FramedWriter(Body())
        framed.write_framed_message(message)
        connection: http.client.HTTPConnection = self.conn
        connection.request("POST", self.req_resource, framed.writer.whole, headers)


class Body:
    """What a framed message is written to."""

    whole = b""

    def write(self, piece: bytes) -> None:
        """Append."""
        self.whole += piece


def main() -> None:
    """Make the calls, one after the other on one connection."""
    task: dict[str, Any] = json.load(sys.stdin)
    transceiver = Transceiver(task["host"], task["port"], task["path"], task["key"])
    protocol = avro.protocol.parse(json.dumps(task["protocol"]))
    requestor = avro.ipc.Requestor(protocol, transceiver)
    answers: list[dict[str, Any]] = []
    for call in task["calls"]:
        try:
            answers.append({"answer": requestor.request(call["message"], call["request"])})
        except avro.errors.AvroRemoteException as error:
            answers.append({"error": error.args[0]})
    json.dump({"answers": answers}, sys.stdout)


main()

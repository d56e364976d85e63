"""A gateway as a process of its own: it sends a stretch of events, in batches and one by one, and says what became of them."""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

BATCH = 50


def main(port: int, key: str, path: str, first: int, last: int) -> None:
    """Send the events of the file from *first* up to *last*, round its end; print how many were of each status."""
    events = json.loads(Path(path).read_text())
    stretch = [events[place % len(events)] for place in range(first, last)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    counts: dict[str, int] = {}
    for start in range(0, len(stretch), BATCH):
        batch = stretch[start : start + BATCH]
        singly = start // BATCH % 2
        items: list[Any] = (
            [_post(connection, key, "application/cloudevents+json", event) for event in batch]
            if singly
            else _post(connection, key, "application/cloudevents-batch+json", batch)["items"]
        )
        for item in items:
            counts[item["status"]] = counts.get(item["status"], 0) + 1
    connection.close()
    sys.stdout.write(json.dumps(counts))


def _post(connection: http.client.HTTPConnection, key: str, media_type: str, content: object) -> Any:  # noqa: ANN401 - as answered
    headers = {"authorization": f"Bearer {key}", "content-type": media_type}
    connection.request("POST", "/v1/books/main/events", json.dumps(content), headers)
    return json.loads(connection.getresponse().read())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))

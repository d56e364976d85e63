"""A sample access log, for trying things where there is none: made up, and the same every time."""

import datetime as dt
import random
from pathlib import Path

CUSTOMERS = 400
_START = dt.datetime(2015, 5, 1, tzinfo=dt.UTC)
_SECONDS_OF_MAY = 31 * 24 * 3600
_ONE_MALFORMED_IN = 4000
_ONE_REPEATED_IN = 500

_PATHS = [
    ("/v1/charges", 900),
    ("/v1/customers", 1_400),
    ("/v1/invoices?limit=100", 24_000),
    ("/v1/search?q=blue+shoes", 6_200),
    ("/v1/reports/2015-04.csv", 380_000),
    ("/static/app.js", 93_000),
    ("/robots.txt", 72),
    ("/", 3_100),
]
_STATUSES = [200, 201, 206, 301, 304, 400, 404, 429, 500, 503]
_STATUS_WEIGHTS = [860, 40, 10, 12, 30, 9, 25, 6, 5, 3]
_AGENTS = ["curl/7.38.0", "python-requests/2.7.0 CPython/3.4.2 Linux/3.16.0", "Mozilla/5.0 (X11; Linux x86_64)", "-"]


def write_sample(path: Path | str, lines: int = 20_000, seed: int = 2015) -> None:
    """
    Write *lines* lines of Combined Log Format over May 2015 to *path*; the same *seed* gives the same bytes.

    The customers' addresses are those set aside for documentation (RFC 5737, RFC 3849). Some lines are cut short,
    and some stand twice, as they do in real logs.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up traffic, not a secret
    addresses = _addresses()
    weights = [1 / (rank + 3) for rank in range(len(addresses))]
    chance.shuffle(addresses)
    seconds = sorted(chance.randrange(_SECONDS_OF_MAY) for _ in range(lines))
    with Path(path).open("w", encoding="ascii", newline="\n") as file:
        line = ""
        for second, address in zip(seconds, chance.choices(addresses, weights, k=lines), strict=True):
            if not line or chance.randrange(_ONE_REPEATED_IN):
                line = _line(chance, address, second)
            cut = line[: chance.randrange(20, len(line) - 2)] if not chance.randrange(_ONE_MALFORMED_IN) else line
            file.write(cut + "\n")


def _addresses() -> list[str]:
    networks = ("192.0.2.", "198.51.100.", "203.0.113.")
    version_4 = [f"{network}{host}" for network in networks for host in range(1, 121)]
    version_6 = [f"2001:db8::{host:x}" for host in range(1, CUSTOMERS - len(version_4) + 1)]
    return version_4 + version_6


def _line(chance: random.Random, address: str, second: int) -> str:
    at = _START + dt.timedelta(seconds=second)
    path, usual_size = chance.choice(_PATHS)
    (status,) = chance.choices(_STATUSES, _STATUS_WEIGHTS)
    method = "POST" if status == 201 else "GET"  # noqa: PLR2004 - 201 Created answers a POST
    size = str(usual_size * chance.randrange(50, 151) // 100) if status < 300 else chance.choice(["-", "214"])  # noqa: PLR2004 - the first status that is no success
    return (
        f'{address} - - [{at:%d}/May/{at:%Y:%H:%M:%S} +0000] "{method} {path} HTTP/1.1" {status} {size} '
        f'"-" "{chance.choice(_AGENTS)}"'
    )

"""Made-up usage in Parquet files: each event another, all of one month, of as many customers as wanted."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
SECONDS = 31 * 24 * 3600


def write_usage(path: Path, first: int, count: int, customers: int, seed: int = 1) -> None:
    """Write *count* events, numbered from *first* on, to *path*; at random times of October 2026, in no order."""
    random = np.random.default_rng(seed + first)
    moments = np.datetime64(START.replace(tzinfo=None), "us") + random.integers(0, SECONDS * 1_000_000, count)
    columns = {
        "id": pa.array([f"request-{number:012d}" for number in range(first, first + count)]),
        "customer": pa.array([f"customer-{number:06d}" for number in random.integers(0, customers, count).tolist()]),
        "at": pa.array(moments).cast(pa.timestamp("us", "UTC")),
        "bytes": pa.array(random.integers(1, 1_000_000, count)),
    }
    pq.write_table(pa.table(columns), path)

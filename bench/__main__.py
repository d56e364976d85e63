"""
Run the benchmarks and print one table.

A subject is a module ``bench/bench_*.py`` with ``IDS``, the ids it can measure, and
``async def run(ids, report)``, which measures those of *ids* and calls *report* with a Result for each.
A figure missed is told in the table; only a benchmark that crashed makes the exit status differ from 0.
"""

import argparse
import asyncio
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

import bench
from bench.table import Report, Result, show


class Subject(Protocol):
    """What a module bench_*.py offers."""

    IDS: tuple[str, ...]

    def run(self, ids: set[str], report: Report) -> Awaitable[None]:
        """Measure those of *ids* that are its own."""
        ...


@dataclass
class Findings:
    """What a run has found so far."""

    results: list[Result] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)


class DuplicateId(Exception):
    """Two subjects claim one id."""


def subjects() -> dict[str, Subject]:
    """Load every subject, by the name of its module."""
    names = sorted(found.name for found in pkgutil.iter_modules(bench.__path__) if found.name.startswith("bench_"))
    return {name: cast("Subject", importlib.import_module(f"bench.{name}")) for name in names}


def known_ids(loaded: dict[str, Subject]) -> list[str]:
    """
    List every id, in the order of the table.

    Raises:
        DuplicateId: two subjects claim one.
    """
    ids = [known for subject in loaded.values() for known in subject.IDS]
    twice = {known for known in ids if ids.count(known) > 1}
    if twice:
        raise DuplicateId(", ".join(sorted(twice)))
    return ids


def measure(loaded: dict[str, Subject], wanted: set[str], errors: Console) -> Findings:
    """Run each subject that has a wanted id, one after the other; a crash of one does not stop the next."""
    findings = Findings()
    for name, subject in loaded.items():
        ids = wanted & set(subject.IDS)
        if not ids:
            continue
        before = len(findings.results)
        errors.print(f"measuring {', '.join(known for known in subject.IDS if known in ids)} …", highlight=False)
        try:
            asyncio.run(_run(subject, ids, findings.results.append))
        except Exception:  # noqa: BLE001 - whatever it was, the others are measured and the exit status tells
            errors.print(traceback.format_exc(), markup=False, highlight=False, soft_wrap=True)
            findings.crashed.append(name)
            continue
        silent = ids - {result.bench for result in findings.results[before:]}
        if silent:
            errors.print(f"{name} measured no {', '.join(sorted(silent))}", highlight=False)
            findings.crashed.append(name)
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure; print one table.")
    parser.add_argument("--only", metavar="id,id", help="measure these alone")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write JSON lines there as well")
    given = parser.parse_args(arguments)
    loaded = subjects()
    known = known_ids(loaded)
    wanted = set(known) if given.only is None else {name.strip() for name in given.only.split(",") if name.strip()}
    unknown = sorted(wanted - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    findings = measure(loaded, wanted, Console(stderr=True))
    show(findings.results, Console())
    if given.json is not None:
        given.json.write_text("".join(f"{result.as_json()}\n" for result in findings.results), encoding="utf-8")
    if findings.crashed:
        sys.stderr.write(f"crashed: {', '.join(findings.crashed)}\n")
    return 1 if findings.crashed else 0


async def _run(subject: Subject, ids: set[str], report: Report) -> None:
    """Await the subject's own run; asyncio.run wants a coroutine and a subject may answer any awaitable."""
    await subject.run(ids, report)


if __name__ == "__main__":
    sys.exit(main())

"""What a benchmark found, the figure it has to reach, and the table and JSON lines that tell both."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tallystick.db.embedded import shipped_binaries

Number = int | float


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of one benchmark id."""

    bench: str
    value: Number
    """The figure that the id stands for."""
    unit: str
    extra: dict[str, Number | str] = field(default_factory=dict)
    """What else was measured: p50 and p99 (milliseconds), ratio, reference, processes …"""

    def figure(self, name: str) -> Number | None:
        """Look up the figure called *name*, ``value`` or one of the extras; None when it was not measured."""
        found = self.value if name == "value" else self.extra.get(name)
        return None if isinstance(found, str) else found

    def as_json(self) -> str:
        """Write one JSON object on one line."""
        return json.dumps({"bench": self.bench, "value": self.value, "unit": self.unit, **self.extra})


Report = Callable[[Result], None]
"""What a benchmark calls with each result as soon as it has it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that one figure of a result has to keep; one of the two is given."""

    figure: str
    at_least: Number | None = None
    under: Number | None = None

    def __str__(self) -> str:
        """Write the bound as in ``ratio ≥ 0.75``; the figure itself needs no name."""
        name = "" if self.figure == "value" else f"{self.figure} "
        return f"{name}≥ {self.at_least:,}" if self.at_least is not None else f"{name}< {self.under:,}"

    def reached(self, result: Result) -> bool:
        """Say whether *result* keeps the bound; a figure that was not measured keeps none."""
        measured = result.figure(self.figure)
        if measured is None:
            return False
        if self.at_least is not None:
            return measured >= self.at_least
        return self.under is not None and measured < self.under


TARGETS: dict[str, tuple[Target, ...]] = {
    "ledger_post_seal": (Target("value", at_least=150_000), Target("ratio", at_least=0.85)),
    "ledger_hot_pair": (Target("ratio", at_least=1),),
    "ledger_limited": (Target("value", at_least=60_000),),
    "ledger_holds": (Target("value", at_least=60_000),),
    "ledger_duplicates": (Target("value", at_least=60_000),),
    "ledger_random_ids": (Target("value", at_least=80_000),),
    "ledger_growth": (Target("value", at_least=0.85),),
    "ledger_bytes": (Target("value", under=280.5),),
    "ledger_import": (Target("value", at_least=120_000), Target("peak_mib", under=1_025)),
    "ledger_reads": (Target("value", under=5),),
    "ledger_verify": (Target("value", at_least=400_000),),
    "usage_import": (Target("value", at_least=120_000),),
    "usage_growth": (Target("value", at_least=0.85),),
    "usage_avro": (Target("value", at_least=40_000),),
    "usage_cloudevents_batch": (Target("value", at_least=25_000),),
    "usage_cloudevents_single": (Target("value", at_least=5_000), Target("p99", under=40)),
    "usage_duplicates": (Target("value", at_least=0.8),),
    "usage_month_total": (Target("value", under=10),),
    "rating_run": (Target("value", under=30), Target("MiB", under=1_025)),
    "webhook_delivery": (Target("value", at_least=1_000),),
    "invoice_pdf": (Target("value", at_least=30),),
    "invoice_issue": (Target("value", under=60),),
    "invoice_debit": (Target("value", under=60),),
    "payment_flow": (Target("value", at_least=300),),
    "receipt_read": (Target("value", under=10), Target("reads/s", at_least=999), Target("payments/s", at_least=9.5)),
    "rest_transfer": (Target("value", at_least=6_000), Target("p99", under=40), Target("ratio", at_least=1.5)),
}
"""What each id has to reach on 2 cores; an id that is not here is measured for comparison only."""


def verdict(result: Result) -> str:
    """Say ``reached`` or ``missed``; nothing when the id has no target."""
    targets = TARGETS.get(result.bench, ())
    if not targets:
        return ""
    return "reached" if all(target.reached(result) for target in targets) else "missed"


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table, and below it the machine it was measured on."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("bench", no_wrap=True)
    table.add_column("figure", no_wrap=True, justify="right")
    for heading in ("beside it", "target"):
        table.add_column(heading)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        colour = {"reached": "green", "missed": "red", "": "default"}[verdict(result)]
        beside = ", ".join(f"{name} {_write(value)}" for name, value in result.extra.items())
        targets = ", ".join(str(target) for target in TARGETS.get(result.bench, ()))
        figure = f"{_write(result.value)} {result.unit}"
        table.add_row(result.bench, figure, beside, targets, f"[{colour}]{verdict(result)}[/]")
    console.print(table)
    console.print(machine(), highlight=False, soft_wrap=True)


def machine() -> str:
    """Describe this machine in one line: cores, processor, Python, PostgreSQL."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores · {_processor()} · Python {platform.python_version()} · {_postgres()}"


def _write(value: Number | str) -> str:
    """Write a figure for people: thousands apart, and no more digits than a measurement has."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _postgres() -> str:
    """Ask the server's own program for its version: the operator's if one is set, else the embedded one."""
    if os.environ.get("TALLYSTICK_POSTGRES_URL"):
        return "PostgreSQL at TALLYSTICK_POSTGRES_URL"
    program = shutil.which("postgres", path=os.environ.get("TALLYSTICK_POSTGRES_BIN") or shipped_binaries())
    if program is None:
        return "PostgreSQL of unknown version"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.strip().replace("postgres (PostgreSQL)", "PostgreSQL")

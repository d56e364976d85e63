"""Follow a run that invoices: how far it is while it goes on, and what it issued."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.console import out
from tallystick.money import Money
from tallystick.operations import run_chunks


@contextlib.contextmanager
def follow_run(patience: dt.timedelta) -> Iterator[run_chunks.Progress]:
    """Show bars on standard error, and give what moves them; a run waits for *patience* at the most, which is shown when it does."""
    columns = [TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {stage: progress.add_task(stage, total=None) for stage in ("drafting", "issuing")}
        seconds = patience // dt.timedelta(seconds=1)
        waiting = progress.add_task("waiting for an open transaction, seconds", total=seconds, visible=False)

        def tick(stage: run_chunks.Stage, done: int) -> None:
            progress.update(bars.get(stage, waiting), completed=done, visible=True)

        yield tick


def tell_issued(done: run_chunks.IssuedChunk, amounts: Sequence[Money]) -> None:
    """Say which numbers were given, and what they come to."""
    if done.issued:
        out.print(f"  numbers {done.first_number} to {done.last_number}", highlight=False)
    for amount in amounts:
        out.print(f"  {amount}", highlight=False)

"""`tallystick usage import`: files of usage go in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.console import out
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.import_usage import DEFAULT_SOURCE, ImportReport, LineAnswer, Told, import_usage
from tallystick.security.model import OPERATOR
from tallystick.usage.decode import CsvMapping, Format

_SHOWN = 10
_lines = msgspec.json.Encoder()


def import_(
    file: Annotated[
        Path, typer.Argument(help="Combined or common log, CSV, JSON lines, CloudEvents, gzip or plain; Parquet; Avro.")
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Only where it cannot be told from the file.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", help="CSV: field=column, as in customer=client, at=time, quantities.bytes=size."
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            help="Who reports. Ids are unique within a source, and a line without an id is known by its content: "
            "two servers whose logs may hold equal lines need two sources, or their equal lines count once."
        ),
    ] = DEFAULT_SOURCE,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", help="Nothing more will be written to the file: its last line counts without a line break."
        ),
    ] = False,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Write what became of each line that was not accepted to this file, a JSON object a line.",
            show_default=False,
        ),
    ] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Import a file of usage. Doing it again, after a kill or when the file has grown, adds only what is new.

    Lines that cannot be read are named and left out; the exit code is then 3. A last line without a line break may still
    be written: it is named and left for the next time, unless --complete says that it is whole.
    """

    async def work(store: Store) -> ImportReport:
        mapping = read_mapping(column or [])
        columns = [TextColumn("usage in"), BarColumn(), DownloadColumn(), TimeElapsedColumn()]
        terminal = Console(stderr=True)
        bars = Progress(*columns, console=terminal, disable=not terminal.is_terminal)
        with answer_file(answers, file) as told, bars as progress:
            bar = progress.add_task("usage in", total=None)
            return await import_usage(
                store.operations, OPERATOR, book, file, source=source, format=format_, mapping=mapping,
                complete=complete, progress=lambda done, size: progress.update(bar, completed=done, total=size),
                told=told,
            )  # fmt: skip

    report = on_store(work)
    say_import(out, report)
    if report.malformed or report.refused:
        raise typer.Exit(3)


@contextlib.contextmanager
def answer_file(path: Path | None, read: Path) -> Iterator[Told | None]:
    """
    Hand out what writes answers to the file *path*, over what is there; None: nothing does.

    Raises:
        InvalidInput: there can be no such file, or it is the one that is *read* (``invalid_input``).
    """
    if path is None:
        yield None
        return
    try:
        if path.exists() and read.exists() and path.samefile(read):
            raise InvalidInput(field="--answers", rule=f"{path} is the file that is imported; name another")
        file = path.open("wb")
    except OSError as error:
        raise InvalidInput(field="--answers", rule=f"{path} cannot be written: {error.strerror}") from error
    with file:

        def tell(answers: list[LineAnswer]) -> None:
            file.write(_lines.encode_lines(answers))

        yield tell


def read_mapping(columns: list[str]) -> CsvMapping | None:
    """
    Read ``field=column`` pairs as the mapping of a CSV file; None if there are none.

    Raises:
        InvalidInput: a pair is not one, or names no field of an event (``invalid_input``).
    """
    if not columns:
        return None
    fields: dict[str, object] = {}
    several: dict[str, dict[str, str]] = {"quantities": {}, "dimensions": {}}
    for pair in columns:
        name, equals, column = pair.partition("=")
        if not equals or not column:
            raise InvalidInput(field="--column", rule=f"{pair!r} is not field=column")
        kind, point, own_name = name.partition(".")
        if kind in several and point:
            several[kind][own_name] = column
        elif name in CsvMapping.__struct_fields__ and name not in several:
            fields[name] = column
        else:
            known = ", ".join(field for field in CsvMapping.__struct_fields__ if field not in several)
            raise InvalidInput(field="--column", rule=f"{name!r} is none of {known}, quantities.NAME, dimensions.NAME")
    missing = {"customer", "at"} - fields.keys()
    if missing:
        raise InvalidInput(field="--column", rule=f"the column of {', '.join(sorted(missing))} must be named")
    return CsvMapping(**fields, **several)  # type: ignore[arg-type]  # names were checked just above


def say_import(console: Console, report: ImportReport) -> None:
    """Show what an import did."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    width = max(len(f"{number:,}") for number in (report.lines, *report.quantities.values())) + 2

    say(f"{report.lines:>{width},} lines" + (f" ({report.format.value})" if report.format else ""))
    say(f"{report.accepted:>{width},} accepted, of {report.customers:,} customers")
    for name, quantity in sorted(report.quantities.items()):
        say(f"{quantity:>{width},} {name}")
    say(f"{report.known:>{width},} already known")
    for reason, count in sorted(report.not_billable.items()):
        say(f"{count:>{width},} not billable: {reason}")
    say(f"{report.malformed:>{width},} malformed")
    for malformed in report.malformed_lines[:_SHOWN]:
        say(f"{'line':>{width}} {malformed.line:,}: {malformed.reason}")
    if report.malformed > _SHOWN:
        say(f"{'':>{width}} and {report.malformed - _SHOWN:,} more: --answers FILE names each")
    if report.refused:
        say(f"{report.refused:>{width},} refused")
        for refused in report.refused_events[:_SHOWN]:
            say(f"{'':>{width}} {refused.id}: {refused.reason}")
        if report.refused > _SHOWN:
            say(f"{'':>{width}} and {report.refused - _SHOWN:,} more: --answers FILE names each")
    if report.unfinished_line is not None:
        say(f"line {report.unfinished_line:,} has no line break, so that it may not be whole yet, and was left: import "
            "the file again when it has, or with --complete if nothing more will be written to it")  # fmt: skip

"""Write documents of invoices to files."""

import asyncio
from pathlib import Path

import typer

from tallystick.cli.console import complain, out
from tallystick.cli.run import on_store, run, settings
from tallystick.documents.model import Document
from tallystick.documents.render_pdf import RenderedPdf
from tallystick.documents.validate_xml import validate_xml
from tallystick.errors import InvalidInput
from tallystick.open_store import Store
from tallystick.operations.render_documents import Documents, Kind
from tallystick.security.model import OPERATOR

Asked = tuple[str, str, Kind]
"""A book, an id in it, and what it is the id of."""


def write_pdf(asked: Asked, file: Path, *, force: bool) -> None:
    """Write an invoice as PDF, and say so if it has no electronic invoice attached."""
    _require_writable(file, force=force)

    async def work(store: Store) -> tuple[Document, RenderedPdf]:
        return await Documents(store.operations, settings().templates).pdf(OPERATOR, *asked)

    document, pdf = on_store(work)
    file.write_bytes(pdf.content)
    _say_written(document, file, len(pdf.content))
    if pdf.lacks is not None:
        complain.print(
            f"without electronic invoice: {pdf.lacks.message}", highlight=False, markup=False, soft_wrap=True
        )


def write_xml(asked: Asked, file: Path, rules: Path | None, *, force: bool) -> None:
    """Write the electronic invoice; with *rules*, name those that it breaks and exit with 1."""
    _require_writable(file, force=force)

    async def work(store: Store) -> tuple[Document, bytes]:
        return await Documents(store.operations).xml(OPERATOR, *asked)

    document, content = on_store(work)
    file.write_bytes(content)
    _say_written(document, file, len(content))
    if rules is not None:
        _hold_to(rules, content)


def _hold_to(rules: Path, content: bytes) -> None:
    broken = run(lambda: asyncio.to_thread(validate_xml, content, rules))
    for one in broken:
        complain.print(f"{one.flag}: {one.text}", highlight=False, markup=False, soft_wrap=True)
    if broken:
        raise typer.Exit(1)
    out.print("it breaks none of the rules")


def _say_written(document: Document, file: Path, size: int) -> None:
    text = f"{document.invoice.number} in {file}, {size:,} bytes"
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _require_writable(file: Path, *, force: bool) -> None:
    """
    Refuse a file that is there already, and a directory that is not.

    Raises:
        InvalidInput: it is so (``invalid_input``).
    """
    if file.exists() and not force:
        raise InvalidInput(field="--out", rule=f"{file} is there already; name another, or write over it with --force")
    if not file.parent.is_dir():
        raise InvalidInput(field="--out", rule=f"there is no directory {file.parent}")

"""Render documents: read what one says in the store, and make the file of it beside the event loop."""

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tallystick.documents.model import Document
from tallystick.documents.render_pdf import SHIPPED, PdfRenderer, RenderedPdf
from tallystick.documents.render_xml import render_xml
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

Kind = Literal["invoice", "credit_note"]
READ = "documents.read"
"""The operation that says what a document says, and by its scope who may read it."""
_AT_ONCE = 2
"""So many documents are read and rendered at once; who comes later waits with nothing but an id in memory."""


@dataclass(slots=True)
class Documents:
    """What renders documents, for one process; the compiler and its fonts are kept."""

    operations: Operations
    templates: Path | None = None
    """Where the operator's own template is; None: the one that comes with the product."""
    _renderer: PdfRenderer | None = None
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def pdf(
        self, principal: Principal, book: str, document_id: uuid.UUID | str, kind: Kind = "invoice"
    ) -> tuple[Document, RenderedPdf]:
        """
        Return an invoice or a credit note and its PDF.

        Raises:
            TallystickError: of ``documents.read``.
            TemplateRefused: the template is wrong (``documents.template``).
        """
        async with self._places:
            document = await self._read(principal, book, document_id, kind)
            return document, await asyncio.to_thread(self._render, document)

    async def xml(
        self, principal: Principal, book: str, document_id: uuid.UUID | str, kind: Kind = "invoice"
    ) -> tuple[Document, bytes]:
        """
        Return an invoice or a credit note and its electronic invoice.

        Raises:
            TallystickError: of ``documents.read``.
            NoElectronicInvoice: EN 16931 has no way to say it (``documents.no_electronic_invoice``).
        """
        async with self._places:
            document = await self._read(principal, book, document_id, kind)
            return document, await asyncio.to_thread(render_xml, document)

    async def _read(self, principal: Principal, book: str, document_id: uuid.UUID | str, kind: Kind) -> Document:
        document: Document = await self.operations.call(
            principal, book, READ, "", {"id": str(document_id), "kind": kind}
        )
        return document

    def _render(self, document: Document) -> RenderedPdf:
        """Render, in a thread of its own; fonts are opened when the first document is asked for."""
        if self._renderer is None:
            self._renderer = PdfRenderer(SHIPPED if self.templates is None else self.templates)
        return self._renderer.render(document)

"""
Invoices and credit notes as files over HTTP: the PDF, and the electronic invoice that is attached to it.

    GET  …/invoices/ID/pdf   who is it ─ may it ─ what it says ─ a thread renders ─ bytes, with the tag that they have
"""

import hashlib
import re

from tallystick.api.rest.reply import Headers, Reply
from tallystick.operations.render_documents import Documents, Kind
from tallystick.security.model import Principal

INVOICE_FILE = re.compile(
    r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/(?P<kind>invoices|credit-notes)/(?P<id>[0-9a-fA-F-]{36})/(?P<what>pdf|xml)",
    re.ASCII,
)
SCOPE = "invoicing:read"
LACKS = b"electronic-invoice"
"""Whether the PDF has its electronic invoice attached, or the code of the reason why not."""
_KINDS: dict[str, Kind] = {"invoices": "invoice", "credit-notes": "credit_note"}
_MEDIA = {"pdf": b"application/pdf", "xml": b"application/xml; charset=utf-8"}
_OURS = (b"cache-control", b"private, no-cache")
"""Nobody in between may keep it, and whoever has it asks whether it is still the same."""


async def answer_file(
    documents: Documents, principal: Principal, file: re.Match[str], asked: list[tuple[bytes, bytes]]
) -> Reply:
    """
    Return the file that a path names, or that the one that the caller has is still the same.

    Raises:
        TallystickError: of ``Documents``.
    """
    book, document_id, what = file["book"], file["id"], file["what"]
    kind = _KINDS[file["kind"]]
    headers: Headers = [(b"content-type", _MEDIA[what]), _OURS]
    if what == "pdf":
        document, pdf = await documents.pdf(principal, book, document_id, kind)
        content = pdf.content
        headers.append((LACKS, b"attached" if pdf.lacks is None else pdf.lacks.code.encode()))
    else:
        document, content = await documents.xml(principal, book, document_id, kind)
    tag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    headers.append((b"etag", tag))
    if _has(asked, tag):
        return Reply(304, headers, b"")
    name = f'inline; filename="{document.invoice.number}.{what}"'
    return Reply(200, [*headers, (b"content-disposition", name.encode())], content)


def _has(asked: list[tuple[bytes, bytes]], tag: bytes) -> bool:
    """Say whether the caller says that it has what has this tag."""
    known = [value for name, value in asked if name == b"if-none-match"]
    return any(one.strip().removeprefix(b"W/") in {tag, b"*"} for value in known for one in value.split(b","))

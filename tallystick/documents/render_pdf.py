"""Render an invoice as PDF/A-3b with its electronic invoice attached, by a typst compiler that is kept."""

import datetime as dt
import re
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec
import typst

from tallystick.documents.errors import NoElectronicInvoice, TemplateRefused
from tallystick.documents.lay_out import lay_out
from tallystick.documents.mark_facturx import ATTACHMENT, mark_facturx
from tallystick.documents.model import Document
from tallystick.documents.render_xml import render_xml

SHIPPED = Path(__file__).with_name("templates")
TEMPLATE = "invoice.typ"
_FONTS = ("fontpkg_source_sans_3", "noto_cjk_sans_jp_regular", "noto_cjk_sans_jp_bold")
"""Packages that carry nothing but fonts: what is on the machine changes no document."""
_STANDARD: Final = "a-3b"
_MAIN = f"""#if sys.inputs.xml != "" {{
  pdf.attach("{ATTACHMENT}", bytes(sys.inputs.xml), relationship: "alternative", mime-type: "text/xml",
    description: "EN 16931")
}}
#include "/{TEMPLATE}"
""".encode()
"""Attaches the invoice, whatever the template does."""
_WITHOUT_GLYPH = re.compile(r"the text `\"(.+?)\"` could not be displayed")
_TURNS = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")
"""What would turn the direction of the text around it, or break its line: a name must not rewrite what stands beside it."""
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
_INSTEAD = "\N{WHITE SQUARE}"
_TRIES = 4
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class RenderedPdf:
    """A PDF, and why no electronic invoice is attached to it; None where it is."""

    content: bytes
    lacks: NoElectronicInvoice | None


@dataclass(slots=True)
class PdfRenderer:
    """Renders invoices by the template in a directory, one after the other, from any thread."""

    templates: Path = SHIPPED
    _compiler: typst.Compiler = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """
        Open the fonts once; each is read when its first letter is set.

        Raises:
            TemplateRefused: there is no template in the directory (``documents.template``).
        """
        if not (self.templates / TEMPLATE).is_file():
            raise TemplateRefused(reason=f"{self.templates / TEMPLATE} is not there")
        folders = [str(_folder(package)) for package in _FONTS]
        own = [] if self.templates == SHIPPED else [str(self.templates)]
        fonts = typst.Fonts(include_system_fonts=False, font_paths=[*own, *folders])
        self._compiler = typst.Compiler(root=str(self.templates), font_paths=fonts, ignore_system_fonts=True)

    def render(self, document: Document) -> RenderedPdf:
        """
        Return the PDF; the same document and template always give the same bytes.

        What EN 16931 cannot say is rendered without an attachment.

        Raises:
            TemplateRefused: the template is wrong; it says where (``documents.template``).
        """
        xml, lacks = _electronic(document)
        page = _TURNS.sub(" ", msgspec.json.encode(lay_out(document)).decode())
        content = self._compile(document, page, xml)
        return RenderedPdf(mark_facturx(content) if lacks is None else content, lacks)

    def _compile(self, document: Document, page: str, xml: str) -> bytes:
        """Compile; letters that no font has are shown as squares, since PDF/A forbids to leave them out."""
        for _ in range(_TRIES):
            try:
                return self._compile_once(document.invoice.issued_at, page, xml)
            except typst.TypstError as error:
                missing = {_unescaped(one) for one in _WITHOUT_GLYPH.findall(f"{error.message}\n{error.diagnostic}")}
                if not missing:
                    raise TemplateRefused(reason=_where(error, self.templates)) from error
                page = _replace(page, missing)
        raise TemplateRefused(reason="no font has all of its letters")

    def _compile_once(self, issued_at: dt.datetime | None, page: str, xml: str) -> bytes:
        with self._lock:
            content = self._compiler.compile(
                _MAIN,
                format="pdf",
                pdf_standards=_STANDARD,
                timestamp=_seconds(issued_at),
                sys_inputs={"page": page, "xml": xml},
            )
        if not isinstance(content, bytes):
            raise TemplateRefused(reason="it makes no PDF")
        return content


def _electronic(document: Document) -> tuple[str, NoElectronicInvoice | None]:
    try:
        return render_xml(document).decode(), None
    except NoElectronicInvoice as lacks:
        return "", lacks


def _seconds(at: dt.datetime | None) -> int:
    """Return the seconds since 1970 at which the file says it was made: the instant of issue, whenever it is asked for."""
    return 0 if at is None else (at - _EPOCH) // dt.timedelta(seconds=1)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TemplateRefused(reason=f"the fonts of {package} are not installed")
    return Path(spec.submodule_search_locations[0])


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _replace(page: str, missing: set[str]) -> str:
    """Put a square for each letter of *missing* wherever it stands in the page."""
    letters = {letter for text in missing for letter in text}

    def replaced(value: Any) -> Any:  # noqa: ANN401 - a page is nested lists and texts
        if isinstance(value, str):
            return "".join(_INSTEAD if letter in letters else letter for letter in value)
        if isinstance(value, list):
            return [replaced(one) for one in value]
        if isinstance(value, dict):
            return {name: replaced(one) for name, one in value.items()}
        return value

    return msgspec.json.encode(replaced(msgspec.json.decode(page))).decode()


def _where(error: typst.TypstError, templates: Path) -> str:
    """Say what is wrong, in which file of the directory and which line."""
    place = re.search(r"┌─ (.+?):(\d+):(\d+)", error.diagnostic)
    if place is None:
        return error.message
    file, root = Path(place[1]).resolve(), templates.resolve()
    name = str(file.relative_to(root)) if file.is_relative_to(root) else place[1]
    return f"{name}, line {place[2]}: {error.message}"

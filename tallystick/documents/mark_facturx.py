"""
Mark a PDF as Factur-X: its metadata say which of its attachments is the invoice, in the schema that Factur-X extends XMP by.

Typst writes the metadata and has no way to add to them. They are plain text inside of the file, so what is missing is
put in, and the places of what comes behind are told anew.
"""

import re

from tallystick.documents.errors import TemplateRefused

ATTACHMENT = "factur-x.xml"
"""The name that readers of Factur-X look for."""
_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = {
    "DocumentFileName": ("name of the embedded XML invoice file", ATTACHMENT),
    "DocumentType": ("type of the embedded document", "INVOICE"),
    "Version": ("version of the Factur-X standard that the file follows", "1.0"),
    "ConformanceLevel": ("profile of the embedded invoice", "EN 16931"),
}
_SCHEMAS_END = b"</rdf:Bag></pdfaExtension:schemas>"
_END = b"</rdf:RDF>"
_METADATA = re.compile(rb"<<(/Length )(\d+)(/Type/Metadata/Subtype/XML>>\s*stream\r?\n)")
_ENTRY = re.compile(rb"(\d{10})( \d{5} n)")
_START = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*$")


def mark_facturx(pdf: bytes) -> bytes:
    """
    Return the PDF with metadata that name its attachment as the invoice.

    Raises:
        TemplateRefused: it is not laid out as typst lays files out (``documents.template``).
    """
    found, start = _METADATA.search(pdf), _START.search(pdf)
    if found is None or start is None or pdf[int(start[1]) : int(start[1]) + 4] != b"xref":
        raise TemplateRefused(reason="the PDF has no metadata to add to")
    length = int(found[2])
    told = pdf[found.end() : found.end() + length]
    marked = told.replace(_SCHEMAS_END, _schema() + _SCHEMAS_END, 1).replace(_END, _said() + _END, 1)
    if _SCHEMAS_END not in told or _END not in told:
        raise TemplateRefused(reason="the PDF's metadata have no schemas to add to")
    header = b"<<" + found[1] + str(len(marked)).encode() + found[3]
    grown = len(header) + len(marked) - (found.end() - found.start()) - length
    table = int(start[1])

    def moved(entry: re.Match[bytes]) -> bytes:
        place = int(entry[1])
        return b"%010d" % (place + grown * (place > found.start())) + entry[2]

    between = pdf[found.end() + length : table]
    behind = _ENTRY.sub(moved, pdf[table : start.start()])
    return b"".join(
        (pdf[: found.start()], header, marked, between, behind, b"startxref\n%d\n%%%%EOF\n" % (table + grown))
    )


def _schema() -> bytes:
    """Describe the properties, as PDF/A asks for every one that it does not know itself."""
    properties = "".join(
        f'<rdf:li rdf:parseType="Resource"><pdfaProperty:category>external</pdfaProperty:category>'
        f"<pdfaProperty:description>{description}</pdfaProperty:description><pdfaProperty:name>{name}</pdfaProperty:name>"
        f"<pdfaProperty:valueType>Text</pdfaProperty:valueType></rdf:li>"
        for name, (description, _) in _PROPERTIES.items()
    )
    return (
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property></rdf:li>"
    ).encode()


def _said() -> bytes:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (_, value) in _PROPERTIES.items())
    return f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'.encode()

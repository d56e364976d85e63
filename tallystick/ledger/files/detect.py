"""Tell a file's format from its first bytes, whatever it is called."""

from tallystick.ledger.files.errors import OtherFormat, UnknownFormat
from tallystick.ledger.files.model import Format

HEAD = 4096
"""So many bytes are looked at."""

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MAGIC = {
    b"PAR1": Format.PARQUET,
    b"ARROW1\0\0": Format.ARROW,
    b"\xff\xff\xff\xff": Format.ARROW_STREAM,
    b"Obj\x01": Format.AVRO,
    GZIP: Format.CSV,
    ZSTD: Format.CSV,
}
_REFUSED = {b"PARE": "it is an encrypted Parquet file", b"FEA1": "it is of Feather's old format"}


def detect_format(head: bytes, name: str, said: Format | None = None) -> Format:
    """
    Tell the format of the file whose first bytes are *head*; *said* is what its sender calls it.

    CSV has no mark of its own: it is what starts as a line of text. A compressed file is taken for CSV, the only one of
    the formats that does not compress its own parts.

    Raises:
        UnknownFormat: ledger.unknown_format.
        OtherFormat: ledger.other_format; the bytes say otherwise.
    """
    found = _by_magic(head) or _as_text(head, name)
    if said is not None and said != found:
        raise OtherFormat(field="format", name=name, said=said, found=found)
    return found


def _by_magic(head: bytes) -> Format | None:
    for magic, found in _MAGIC.items():
        if head.startswith(magic):
            return found
    return None


def _as_text(head: bytes, name: str) -> Format:
    """Take *head* for the start of a CSV file if it is text at all."""
    why = next((why for magic, why in _REFUSED.items() if head.startswith(magic)), None)
    if why is None and not head:
        why = "it is empty"
    if why is None and not _is_text(head):
        why = "its first bytes are of no format known here"
    if why is not None:
        raise UnknownFormat(field="format", name=name, why=why)
    return Format.CSV


def _is_text(head: bytes) -> bool:
    """Say whether the first line is text in UTF-8; the last characters of *head* may be cut."""
    line = head.split(b"\n", 1)[0]
    if 0 in line:
        return False
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return len(line) == HEAD and error.end >= len(line) - 3
    return True

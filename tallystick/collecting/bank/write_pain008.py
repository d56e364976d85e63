"""
Write pain.008.001.08 (ISO 20022): debits for a bank, streamed, the same bytes for the same facts.

One payment information for the file's collection day; the order of elements is the schema's.
"""

import re
import unicodedata
from collections.abc import Iterable

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.model import BankFile, Debit
from tallystick.errors import InvalidInput

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.008.001.08"
_CURRENCY = re.compile(r"[A-Z]{3}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ /:.,'+?()-][A-Za-z0-9]+)*", re.ASCII)
_SPELT = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "\u0131": "i", "&": "+", "\u2013": "-", "\u2014": "-", "\u2019": "'", "_": "-",
})  # fmt: skip
"""Letters that are no others with a mark."""


def plain_text(text: str, most: int, instead: str = ".") -> str:
    """
    Write *text* in the characters that every bank takes (EPC217-08), at most *most* of them.

    Marks are left out, and what has no likeness is a full stop; a text of which nothing is left becomes *instead*.
    """
    if len(text) <= most and _PLAIN.fullmatch(text):
        return text  # nearly all are
    taken_apart = unicodedata.normalize("NFKD", text.translate(_SPELT))
    letters = (one for one in taken_apart if not unicodedata.combining(one))
    written = "".join(one if one in _ALLOWED else " " if one.isspace() else "." for one in letters)
    written = re.sub(r"/+", "/", " ".join(written.split()))[:most].strip(" /")
    return written if written.strip(".-? ") else instead


def write_amount(minor: int, exponent: int) -> str:
    """Write an amount in major units, exact."""
    whole, part = divmod(minor, 10**exponent)
    return f"{whole}.{part:0{exponent}d}" if exponent else str(whole)


class Pain008:
    """Writes one file piece by piece, and finds at its end that it holds what its head says."""

    def __init__(self, file: BankFile) -> None:
        """
        Begin.

        Raises:
            InvalidInput: the asset is no currency (``invalid_input``).
        """
        if _CURRENCY.fullmatch(file.asset) is None:
            raise InvalidInput(field="asset", rule=f"Banks debit currencies, and {file.asset} is none")
        self._file = file
        self._count = self._total = 0

    def begin(self) -> bytes:
        """Write everything before the first debit."""
        file, creditor = self._file, self._file.creditor
        total = write_amount(file.total, file.exponent)
        name = plain_text(creditor.name, 70, "NOTPROVIDED")
        agent = f"<BICFI>{creditor.bic}</BICFI>" if creditor.bic else "<Othr><Id>NOTPROVIDED</Id></Othr>"
        made = file.taken_at.strftime("%Y-%m-%dT%H:%M:%S") + "Z"
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}">\n<CstmrDrctDbtInitn>\n'
            f"<GrpHdr><MsgId>{file.message_id}</MsgId><CreDtTm>{made}</CreDtTm>"
            f"<NbOfTxs>{file.charges}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
            f"<InitgPty><Nm>{_escape(name)}</Nm></InitgPty></GrpHdr>\n"
            f"<PmtInf><PmtInfId>{file.message_id}</PmtInfId><PmtMtd>DD</PmtMtd><BtchBookg>true</BtchBookg>"
            f"<NbOfTxs>{file.charges}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
            "<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl><LclInstrm><Cd>CORE</Cd></LclInstrm><SeqTp>RCUR</SeqTp></PmtTpInf>"
            f"<ReqdColltnDt>{file.debit_on.isoformat()}</ReqdColltnDt><Cdtr><Nm>{_escape(name)}</Nm></Cdtr>"
            f"<CdtrAcct><Id>{_account(creditor.iban)}</Id></CdtrAcct>"
            f"<CdtrAgt><FinInstnId>{agent}</FinInstnId></CdtrAgt><ChrgBr>SLEV</ChrgBr>"
            f"<CdtrSchmeId><Id><PrvtId><Othr><Id>{_escape(plain_text(creditor.creditor_id, 35))}</Id>"
            "<SchmeNm><Prtry>SEPA</Prtry></SchmeNm></Othr></PrvtId></Id></CdtrSchmeId>\n"
        ).encode()

    def debits(self, page: Iterable[Debit]) -> bytes:
        """Write some debits."""
        return "".join([self._debit(one) for one in page]).encode()

    def end(self) -> bytes:
        """
        Write everything behind the last debit.

        Raises:
            UnreadableFile: the debits do not come to what the head says (``bank.unreadable_file``).
        """
        if (self._count, self._total) != (self._file.charges, self._file.total):
            rule = (
                f"{self._count} debits of {self._total}, and its head says {self._file.charges} of {self._file.total}"
            )
            raise UnreadableFile(field="file", place=f"file {self._file.id}", rule=rule)
        return b"</PmtInf>\n</CstmrDrctDbtInitn>\n</Document>\n"

    def _debit(self, one: Debit) -> str:
        self._count += 1
        self._total += one.amount
        file = self._file
        name = plain_text(one.name, 70, plain_text(one.customer, 70, "NOTPROVIDED"))
        return (
            f"<DrctDbtTxInf><PmtId><EndToEndId>{one.charge.hex}</EndToEndId></PmtId>"
            f'<InstdAmt Ccy="{file.asset}">{write_amount(one.amount, file.exponent)}</InstdAmt>'
            f"<DrctDbtTx><MndtRltdInf><MndtId>{one.mandate}</MndtId><DtOfSgntr>{one.signed_on.isoformat()}</DtOfSgntr>"
            "</MndtRltdInf></DrctDbtTx><DbtrAgt><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></DbtrAgt>"
            f"<Dbtr><Nm>{_escape(name)}</Nm></Dbtr><DbtrAcct><Id>{_account(one.bank_account)}</Id></DbtrAcct>"
            f"<RmtInf><Ustrd>{_escape(plain_text(one.invoices, 140, one.charge.hex))}</Ustrd></RmtInf></DrctDbtTxInf>\n"
        )


def _account(text: str) -> str:
    if _IBAN.fullmatch(text):
        return f"<IBAN>{text}</IBAN>"
    return f"<Othr><Id>{_escape(plain_text(text, 34))}</Id></Othr>"


def _escape(text: str) -> str:
    """Escape what XML must not have as it is; all else is plain already."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

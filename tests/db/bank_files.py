"""Files of banks for tests: results and statements about what a book has."""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tallystick.operations.bank_files import write_debits
from tallystick.security.model import OPERATOR
from tests.db.repaid import Till

IBAN = "DE89370400440532013000"
CREDITOR = {"name": "Müller & Söhne", "iban": "DE02120300000000202051", "creditor_id": "DE98ZZZ09999999999"}
DAY = "2026-10-05"
"""A Monday."""


async def charge_all(till: Till, amounts: Sequence[int], asset: str = "EUR") -> list[Any]:
    """Let customers owe an amount each, be debited for it, and return the charges in the order of the amounts."""
    await till.do("ledger.ensure_asset", asset=asset, exponent=2)
    for nth, amount in enumerate(amounts):
        customer = f"customer-{nth}"
        await till.owe(amount, due_on=DAY, customer=customer, asset=asset)
        await till.do(
            "collecting.choose_debit_day", customer=customer, day=5, bank_account=IBAN, country="DE", cutoff_days=0
        )
    await till.do("charges.make", on=DAY)
    made = {one.customer: one for one in (await till.do("charges.list", on=DAY, limit=1000)).items}
    return [made[f"customer-{nth}"] for nth in range(len(amounts))]


async def file_of(till: Till, path: Path, **fields: object) -> bytes:
    """Take the file of the day, and return its bytes."""
    taken = await till.do("bank.take_file", on=DAY, asset="EUR", **fields)
    with path.open("wb") as opened:
        await write_debits(till.operations, OPERATOR, "main", taken, opened, lambda _: None)
    return path.read_bytes()


def pain002(results: Iterable[tuple[object, str, str | None]], told: int | None = None) -> bytes:
    """Write what a bank says: of each charge a status, and a reason if it has one."""
    lines = [
        f"<TxInfAndSts><OrgnlEndToEndId>{getattr(charge, 'hex', charge)}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        + (f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></StsRsnInf>" if reason else "")
        + "</TxInfAndSts>"
        for charge, status, reason in results
    ]
    count = len(lines) if told is None else told
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10">'
        "<CstmrPmtStsRpt><GrpHdr><MsgId>1</MsgId></GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>x</OrgnlMsgId>"
        f"<GrpSts>PART</GrpSts><NbOfTxsPerSts><DtldNbOfTxs>{count}</DtldNbOfTxs><DtldSts>ACSC</DtldSts></NbOfTxsPerSts>"
        "</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts>\n"
        + "\n".join(lines)
        + "</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"
    ).encode()


def mt940(entries: Sequence[tuple[int, str, str]], number: str = "1/1", currency: str = "EUR") -> bytes:
    """Write a statement: of each entry the minor units, whose account, and what it is for."""
    lines = [":20:STARTUMS", ":25:10000000/1234567890", f":28C:{number}", f":60F:C261001{currency}1000,00"]
    for amount, account, text in entries:
        lines.append(
            f":61:2610051005{'C' if amount > 0 else 'D'}{abs(amount) // 100},{abs(amount) % 100:02d}NTRFNONREF"
        )
        lines.append(f":86:166?00GUTSCHRIFT?20SVWZ+{text[:20]}?21{text[20:47]}?22{text[47:74]}?31{account}?32A NAME")
    closing = 100_000 + sum(one[0] for one in entries)
    lines.append(f":62F:{'C' if closing >= 0 else 'D'}261005{currency}{abs(closing) // 100},{abs(closing) % 100:02d}")
    return ("\r\n".join(lines) + "\r\n-\r\n").encode()


def uuid_of(charge: Any) -> uuid.UUID:  # noqa: ANN401 - a Charge
    """Return the id of a charge."""
    return uuid.UUID(str(charge.id))

"""Holds: reserved, captured in parts, released, expired; in one batch, across batches, and by two at once."""

import asyncio
import uuid
from typing import Any

import asyncpg
import numpy as np
import pytest

from tallystick.db.connect import open_pool
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import LOOK_UP_FIRST
from tests.conftest import House
from tests.db.posting import Ledgerful, open_ledger
from tests.db.tables import Table, open_every_sort

LARGE = LOOK_UP_FIRST + 50

CAPTURED_IN_PARTS = """
    D1 bank   purse  10             → posted
    H1 hold purse ada 10            → posted 10
    H2 hold purse ada 1             → limit_exceeded
    balance purse 10
    held purse 10
    available purse 0
    incoming ada 10
    balance ada 0

    C1 capture H1 4                 → posted 4
    held purse 6
    balance purse 6
    available purse 0
    incoming ada 6
    balance ada 4

    C2 capture H1 7                 → exceeds_hold
    C3 capture H1 1                 → posted 1
    C1 capture H1 4                 → known 4
    C1 capture H1 5                 → id_conflict amount
    C1 capture H1                   → id_conflict amount
    C3 capture H1 2                 → id_conflict amount
    C1 capture H2 4                 → id_conflict hold
    C1 release H1                   → id_conflict kind
    C4 capture H1                   → posted 5
    C5 capture H1                   → hold_ended
    C4 capture H1                   → known 5
    C4 capture H1 5                 → id_conflict amount
    held purse 0
    incoming ada 0
    balance ada 10
    balance purse 0
"""

RELEASED = """
    D1 bank   purse  10             → posted
    H1 hold purse ada 10            → posted 10
    T1 purse  bob    1              → limit_exceeded
    C1 capture H1 3                 → posted 3
    R1 release H1                   → posted 7
    R2 release H1                   → hold_ended
    R1 release H1                   → known 7
    C2 capture H1 1                 → hold_ended
    T2 purse  bob    7              → posted
    T3 purse  bob    1              → limit_exceeded
    held purse 0
    balance purse 0
    balance ada 3
    balance bob 7
"""

EXPIRED = """
    D1 bank   purse  20             → posted
    H1 hold purse ada 10 until=+10  → posted
    H2 hold purse ada 5 until=+20   → posted
    H3 hold purse ada 5 until=+10   → posted
    X1 expire H1                    → expires_too_early

    clock +9
    C1 capture H1 4                 → posted 4

    clock +10
    C2 capture H1 4                 → hold_expired
    X1 expire H1                    → posted 6
    X2 expire H1                    → hold_ended
    X1 expire H1                    → known 6
    C3 capture H1 1                 → hold_ended
    R1 release H1                   → hold_ended
    R2 release H3                   → posted 5
    C4 capture H2 1                 → posted 1
    held purse 4
    balance purse 15
    available purse 11
    incoming ada 4

    clock -100
    C5 capture H1 1                 → hold_ended
    C6 capture H2 1                 → posted 1
    T1 purse ada 11                 → posted
    T2 purse ada 1                  → limit_exceeded
"""

BOTH_SIDES = """
    H1 hold bank jar 30             → posted
    H2 hold bank jar 21             → limit_exceeded
    T1 bank  jar 21                 → limit_exceeded
    T2 bank  jar 20                 → posted
    T3 bank  jar 1                  → limit_exceeded
    C1 capture H1 10                → posted
    T4 bank  jar 1                  → limit_exceeded
    R1 release H1                   → posted 20
    T5 bank  jar 20                 → posted
    T6 bank  jar 1                  → limit_exceeded
    balance jar 50
    incoming jar 0
    H3 hold jar ada 5               → posted
    T7 bank  jar 1                  → limit_exceeded
    C2 capture H3                   → posted 5
    T8 bank  jar 5                  → posted
    H4 hold bank both 50            → posted
    T9 both  ada 1                  → limit_exceeded
    C3 capture H4                   → posted 50
    H5 hold both jar 1              → limit_exceeded
    H6 hold both ada 50             → posted
    TA both  ada 1                  → limit_exceeded
    TB bank  both 1                 → limit_exceeded
    balance both 50
    available both 0
"""

LIMITS_THAT_CHANGE = """
    D1 bank   purse  10             → posted
    H1 hold purse ada 8             → posted
    limit purse 0 5
    C1 capture H1 4                 → posted
    T1 purse  ada 3                 → limit_exceeded
    T2 bank   purse 1               → limit_exceeded
    limit purse -3 none
    T3 purse  ada 6                 → limit_exceeded
    T4 purse  ada 5                 → posted
    C2 capture H1                   → posted 4
    balance purse -3
    limit purse 0 none
    T5 purse  ada 1                 → limit_exceeded
    T6 bank   purse 1               → posted
    T7 bank   purse 3               → posted
    T8 purse  ada 1                 → posted
"""

CLOSED = """
    H1 hold bank ada 10             → posted
    H2 hold bob  ada 10             → posted
    H3 hold bank ada 10             → posted
    close ada
    C1 capture H1 1                 → credit_account_closed
    H4 hold bank ada 1              → credit_account_closed
    R1 release H1                   → posted 10
    close bob
    C2 capture H2 1                 → debit_account_closed
    R2 release H2                   → posted 10
    held bank 10
    incoming ada 10
"""

REPEATED = """
    H1 hold bank ada 10 until=+9    → posted
    H1 hold bank ada 10 until=+9    → known 10
    H1 hold bank ada 10 until=+8    → id_conflict expires_at
    H1 hold bank ada 10             → id_conflict expires_at
    H1 hold bank bob 10 until=+9    → id_conflict credit
    H1 hold bank ada 9 until=+9     → id_conflict amount
    H1 bank ada 10                  → id_conflict kind
    H1 sweep bank ada 10            → id_conflict kind
    H2 hold bank ada 10 reference=x → posted
    H2 hold bank ada 10 reference=y → id_conflict reference
    H2 hold bank ada 10             → id_conflict reference

    clock +99
    H1 hold bank ada 10 until=+9    → known 10
    H1 hold bank ada 10 until=+8    → id_conflict expires_at
    H1 hold bank ada 10             → id_conflict expires_at
    H1 hold bank bob 10 until=+9    → id_conflict credit
    H1 bank ada 10                  → id_conflict kind
    H2 hold bank ada 10 reference=x → known 10
    H2 hold bank ada 10 reference=y → id_conflict reference
"""

REFUSED_FIRST_AND_THEN_POSTED = """
    H1 hold purse ada 10            → limit_exceeded
    C1 capture H1 4                 → unknown_hold
    D1 bank  purse  10              → posted
    H1 hold purse bob 10            → posted
    C1 capture H1 4                 → posted 4
    C2 capture H1                   → posted 6
    balance bob 10
    held purse 0
    balance purse 0
"""

OUT_OF_ORDER = """
    C1 capture H1 4                 → unknown_hold
    H1 hold bank ada 10             → posted
    C1 capture H1 4                 → posted
    C2 capture C1 4                 → unknown_hold
    R1 release C1                   → unknown_hold
    T1 bank ada 1                   → posted
    C3 capture T1 1                 → unknown_hold
    balance ada 5
"""

TABLES = {
    "captured_in_parts": CAPTURED_IN_PARTS,
    "released": RELEASED,
    "expired": EXPIRED,
    "both_sides": BOTH_SIDES,
    "limits_that_change": LIMITS_THAT_CHANGE,
    "closed": CLOSED,
    "repeated": REPEATED,
    "refused_first_and_then_posted": REFUSED_FIRST_AND_THEN_POSTED,
    "out_of_order": OUT_OF_ORDER,
}
each_table = pytest.mark.parametrize("name", TABLES)


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with accounts of every sort."""
    return await open_every_sort(pool)


@each_table
async def test_holds_are_told_as_they_are(ledger: Ledgerful, name: str) -> None:
    """Each step of a hold gets its status and its amount, and the log proves what is left."""
    await Table(ledger).play(TABLES[name])
    await ledger.seal()
    found = await ledger.verify()
    assert found.ok, found.findings


@each_table
async def test_holds_answer_one_by_one_as_in_a_batch(ledger: Ledgerful, name: str) -> None:
    """Whether a hold and what uses it come together or apart changes no answer."""
    await Table(ledger).play(TABLES[name], one_by_one=True)


@each_table
async def test_holds_answer_in_a_large_batch_as_in_a_small_one(ledger: Ledgerful, name: str) -> None:
    """The way of a batch that is written before its ids are looked up comes to the same answers."""
    await Table(ledger).play(TABLES[name], beside=LOOK_UP_FIRST + 1)


def uses(hold_ids: list[uuid.UUID], ids: list[uuid.UUID], reason: Reason, amount: int = 0) -> Batch:
    """Make a batch in which each hold is used once."""
    rows = transfers(len(ids))
    rows["transfer_id"] = [one.bytes for one in ids]
    rows["reason"], rows["amount"] = reason, amount
    return Batch(rows, np.frombuffer(b"".join(one.bytes for one in hold_ids), "V16"))


def holds(ledger: Ledgerful, ids: list[uuid.UUID], debit: str, credit: str, amount: int) -> Batch:
    """Make a batch of holds that do not expire."""
    rows = ledger.batch([(one, debit, credit, amount) for one in ids])
    rows["reason"] = Reason.HOLD
    return Batch(rows)


async def test_large_batches_of_holds_and_their_uses_are_known_when_they_come_again(ledger: Ledgerful) -> None:
    """A repeat is a repeat even where, judged anew, it would be refused: no money left, every hold used up."""
    await ledger.move(("bank", "purse", LARGE))
    ids = [uuid7() for _ in range(LARGE)]
    reserve = holds(ledger, ids, "purse", "ada", 1)
    capture = uses(ids, [uuid7() for _ in ids], Reason.CAPTURE)
    for batch in (reserve, capture):
        assert set(await ledger.post(batch)) == {Status.POSTED}
        again = await ledger.judge(batch)
        assert set(again.statuses.tolist()) == {Status.KNOWN}
        assert set(again.amounts.tolist()) == {1}
        ledger.book.ledger.expecting_duplicates = 0
        assert set(await ledger.post(batch, group=True)) == {Status.KNOWN}
        ledger.book.ledger.expecting_duplicates = 0
    assert await ledger.balance("ada") == LARGE
    assert (await ledger.find("purse")).held == 0


async def test_a_hold_of_this_batch_that_another_posts_meanwhile_is_used_as_the_other_posted_it(
    ledger: Ledgerful, pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """
    The id of a hold may be taken while its batch is under way: then what uses it uses the hold that is in the ledger.

    The batch is stopped between looking up what it relates to and looking up its own ids, by a lock on what only who
    does not remember the accounts reads.
    """
    for beside in (LARGE, 0):
        elsewhere = await open_ledger(pool)
        elsewhere.accounts = ledger.accounts
        await ledger.move(("bank", "ada", 1), ("bank", "bob", 1))
        hold, table = uuid7(), Table(elsewhere)
        table.ids["H1"] = hold
        rows = [["H1", "hold", "bank", "ada", "10"], ["C1", "capture", "H1"]]
        batch = table.batch([*rows, *([["-", "filler", "drain", "1"]] * beside)])
        async with owner.transaction():
            await owner.execute("LOCK account_closing IN ACCESS EXCLUSIVE MODE")
            stopped = asyncio.create_task(elsewhere.judge(batch))
            while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - only the server knows that one waits
                await asyncio.sleep(0)
            assert await ledger.post(holds(ledger, [hold], "bank", "bob", 7)) == [Status.POSTED]
        outcomes = await stopped
        assert outcomes.statuses[:2].tolist() == [Status.ID_CONFLICT, Status.POSTED]
        assert outcomes.amounts[1] == 7
        for code in ("bank", "ada", "bob"):
            sums = await ledger.find(code)
            assert (sums.held, sums.incoming) == (0, 0), code
    assert await ledger.balance("bob") == 2 * (7 + 1)


async def test_captures_at_once_never_take_more_than_is_held(database_url: str, pool: asyncpg.Pool) -> None:
    """Of twelve captures of 3 out of a hold of 10, sent at once through two pools, three are posted; then one of 1."""
    first = await open_ledger(pool, "bank", "ada")
    other_pool = await open_pool(database_url)
    try:
        second = await open_ledger(other_pool)
        for _ in range(5):
            hold = uuid7()
            before = await first.balance("ada")
            await first.post(holds(first, [hold], "bank", "ada", 10))
            sent = [ledger.post(uses([hold], [uuid7()], Reason.CAPTURE, 3)) for ledger in (first, second) * 6]
            answers = [status for (status,) in await asyncio.gather(*sent)]
            assert sorted(answers) == [Status.POSTED] * 3 + [Status.EXCEEDS_HOLD] * 9
            assert await first.post(uses([hold], [uuid7()], Reason.CAPTURE)) == [Status.POSTED]
            assert await second.post(uses([hold], [uuid7()], Reason.CAPTURE)) == [Status.HOLD_ENDED]
            assert await first.balance("ada") == before + 10
    finally:
        await other_pool.close()


async def test_a_capture_and_a_release_at_once_share_the_hold_in_some_order(ledger: Ledgerful) -> None:
    """Either the capture came first and the release freed the rest, or the release did and the capture found it ended."""
    for _ in range(10):
        hold = uuid7()
        before = await ledger.balance("ada")
        await ledger.post(holds(ledger, [hold], "bank", "ada", 10))
        capture, release = await asyncio.gather(
            ledger.judge(uses([hold], [uuid7()], Reason.CAPTURE, 4)),
            ledger.judge(uses([hold], [uuid7()], Reason.RELEASE)),
        )
        assert release.statuses[0] == Status.POSTED
        captured = capture.statuses[0] == Status.POSTED
        assert captured or capture.statuses[0] == Status.HOLD_ENDED
        assert release.amounts[0] == (6 if captured else 10)
        assert await ledger.balance("ada") == before + (4 if captured else 0)
        assert (await ledger.find("bank")).held == 0


async def test_a_group_with_a_hold_that_fails_holds_nothing(ledger: Ledgerful) -> None:
    """Neither the hold nor the capture of a failing group leaves a trace; a group that goes well may hold and capture."""
    table = Table(ledger)
    with pytest.raises(GroupFailed) as failed:
        await table.play("H1 hold bank ada 5 → posted\nC1 capture H1 6 → exceeds_hold", group=True)
    assert failed.value.field == "transfers[1]"
    assert (await ledger.find("bank")).held == 0
    await table.play("H1 hold bank ada 5 → posted\nC1 capture H1 3 → posted\nR1 release H1 → posted 2", group=True)
    await table.play("H1 hold bank ada 5 → known\nC1 capture H1 3 → known\nR1 release H1 → known 2", group=True)


async def test_the_doors_of_holds_lead_to_the_same_room(house: House) -> None:
    """A hold, its captures and its release by operations of their own answer like those of a batch."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    hold = str(uuid7())
    held = await house.do("ledger.hold", id=hold, debit="bank", credit="ada", amount=10)
    assert (held.status, held.amount) == ("ledger.posted", 10)
    captured = await house.do("ledger.capture", id=str(uuid7()), hold=hold, amount=4)
    assert (captured.status, captured.amount) == ("ledger.posted", 4)
    released = await house.do("ledger.release", id=str(uuid7()), hold=hold)
    assert (released.status, released.amount) == ("ledger.posted", 6)
    with pytest.raises(TallystickError) as refused:
        await house.do("ledger.capture", id=str(uuid7()), hold=hold)
    assert refused.value.code == "ledger.hold_ended"


@pytest.mark.parametrize("operation", ["hold", "capture", "release", "sweep", "reverse"])
async def test_an_id_that_the_product_may_derive_is_refused_at_every_door(house: House, operation: str) -> None:
    """Ids of UUID version 8 are the product's own, by whichever door they come; the refusal names the field."""
    of_each: dict[str, dict[str, Any]] = {
        "hold": {"debit": "bank", "credit": "ada", "amount": 1},
        "sweep": {"debit": "bank", "credit": "ada", "amount": 1},
        "capture": {"hold": str(uuid7())},
        "release": {"hold": str(uuid7())},
        "reverse": {"reverses": str(uuid7())},
    }
    with pytest.raises(TallystickError) as refused:
        await house.do(f"ledger.{operation}", id="018f0000-0000-8000-8000-000000000000", **of_each[operation])
    assert refused.value.code == "invalid_input"

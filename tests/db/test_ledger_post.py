"""Post: what becomes of each transfer, told as tables of plain text."""

import asyncio
import re

import asyncpg
import numpy as np
import pytest

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.journal.model import message
from tallystick.ledger.accounts import NewAccount, open_accounts
from tallystick.ledger.errors import BatchTooLarge, GroupFailed
from tallystick.ledger.judge_in_order import COMPARED
from tallystick.ledger.model import COLUMNS, Reason, Status
from tallystick.ledger.post import LOOK_UP_FIRST, MAX_BATCH
from tallystick.ledger.resolve import resolve_accounts
from tallystick.money import MAX_AMOUNT
from tests.conftest import House
from tests.db.posting import Ledgerful, open_ledger, post_and_keep
from tests.db.tables import Table, open_every_sort


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with accounts of every sort."""
    return await open_every_sort(pool)


EACH_STATUS = """
    T1 bank   ada    100            → posted 100
    T2 bank   ada    0              → amount_not_positive
    T3 bank   ada    -1             → amount_not_positive
    T4 ada    ada    100            → same_account
    T5 nobody ada    100            → unknown_debit_account
    T6 ada    nobody 100            → unknown_credit_account
    T7 euros  ada    100            → asset_mismatch
    T8 bank   ada    100 asset=EUR  → asset_mismatch
    T9 bank   ada    100 asset=XXX  → asset_mismatch
    TA gone   ada    100            → debit_account_closed
    TB ada    gone   100            → credit_account_closed
    TC purse  ada    1              → limit_exceeded
    TD bank   jar    51             → limit_exceeded
    S1 sweep  purse  ada 1          → nothing_to_move
    V1 reverse T1                   → posted 100
    V2 reverse T1                   → already_reversed
    V3 reverse V1                   → not_reversible
    V4 reverse TZ                   → unknown_transfer
    H1 hold bank ada 10 until=+5    → posted 10
    H2 hold bank ada 10 until=0     → expires_too_early
    C1 capture H1 4                 → posted 4
    C2 capture H1 7                 → exceeds_hold
    C3 capture T1 1                 → unknown_hold
    R1 release H1                   → posted 6
    C4 capture H1                   → hold_ended
    H3 hold bank ada 10 until=+5    → posted 10
    T1 bank   ada    100            → known 100
    T1 bank   ada    99             → id_conflict amount
    balance ada 4

    clock +5
    C5 capture H3 4                 → hold_expired
    T1 bank   ada    100            → known 100
    T1 bank   ada    101            → id_conflict amount
    T1 bank   bob    100            → id_conflict credit
    T1 bob    ada    100            → id_conflict debit
    T1 bank   ada    100 asset=EUR  → id_conflict asset
    T1 bank   ada    100 asset=USD  → known
    T1 bank   ada    100 reason=fee → id_conflict reason
    T1 bank   ada    100 effective=1 → id_conflict effective_at
    T1 bank   ada    100 reference=x → id_conflict reference
    balance ada 4
"""

PRECEDENCE = """
    T1 bank   ada    1              → posted
    T2 bank   bob    1              → posted
    H1 hold bank bob 9              → posted
    H2 hold bank bob 9 until=+5     → posted
    H3 hold bank bob 9 until=+5     → posted
    H4 hold bank ada 9 until=+5     → posted
    V1 reverse T2                   → posted
    C1 capture H2                   → posted
    C2 capture H1 1                 → posted

    T1 ada    ada    0              → id_conflict
    T1 nobody gone   0              → id_conflict
    T1 hold nobody gone 0 until=0   → id_conflict
    T3 nobody nobody 0              → amount_not_positive
    T3 hold nobody nobody 0 until=0 → amount_not_positive
    T3 sweep nobody nobody 0        → amount_not_positive
    T3 capture HZ -1                → amount_not_positive
    T3 hold ada    ada    1 until=0 → expires_too_early
    T3 hold nobody gone   1 until=0 → expires_too_early
    T3 hold gone   euros  1 until=0 → expires_too_early
    T3 nobody nobody 1              → same_account
    T3 nobody gone   1              → unknown_debit_account
    T3 gone   nobody 1              → unknown_credit_account
    T3 gone   euros  1              → asset_mismatch
    T3 gone   left   1              → debit_account_closed
    T3 purse  gone   1              → credit_account_closed
    T3 sweep purse gone 1           → credit_account_closed

    close bob
    clock +6
    V1 reverse T1                   → id_conflict reverses
    V2 reverse T2                   → already_reversed
    V2 reverse H1                   → not_reversible
    V2 reverse C2                   → debit_account_closed
    C3 capture H2                   → credit_account_closed
    C3 capture H3 99                → credit_account_closed
    R1 release H2                   → hold_ended
    R1 release H3                   → posted 9
    C3 capture H4 99                → hold_expired
    C1 capture H2                   → known 9
"""

AN_ID_TWICE_IN_A_BATCH = """
    T1 bank   ada    5              → posted
    T1 bank   ada    5              → known
    T1 bank   ada    6              → id_conflict
    T1 bank   ada    0              → id_conflict
    T2 bank   ada    0              → amount_not_positive
    T2 bank   ada    3              → posted
    T2 bank   ada    3              → known
    T2 bank   ada    4              → id_conflict
    T3 purse  ada    9              → limit_exceeded
    T3 purse  ada    8              → limit_exceeded
    T4 bank   purse  8              → posted
    T3 purse  ada    9              → limit_exceeded
    T3 purse  ada    8              → posted
    T3 purse  ada    8              → known
    balance ada 16
    balance purse 0
"""

LIMITS_IN_ORDER = """
    T1 purse  ada    10             → limit_exceeded
    T2 bank   purse  10             → posted
    T3 purse  ada    4              → posted
    T4 purse  ada    7              → limit_exceeded
    T5 purse  ada    6              → posted
    T6 purse  ada    1              → limit_exceeded
    T7 credit ada    100            → posted
    T8 credit ada    1              → limit_exceeded
    T9 bank   jar    50             → posted
    TA bank   jar    1              → limit_exceeded
    TB jar    ada    20             → posted
    TC bank   jar    20             → posted
    TD both   ada    1              → limit_exceeded
    TE bank   both   51             → limit_exceeded
    TF bank   both   50             → posted
    TG both   jar    1              → limit_exceeded
    TH both   purse  50             → posted
    balance purse 50
    balance credit -100
    balance jar 50
    balance both 0

    TI purse  credit 50             → posted
    TJ purse  ada    1              → limit_exceeded
    TK credit ada    50             → posted
    TL credit ada    1              → limit_exceeded
    balance credit -100
"""


TABLES = {
    "each_status": EACH_STATUS,
    "precedence": PRECEDENCE,
    "an_id_twice": AN_ID_TWICE_IN_A_BATCH,
    "limits_in_order": LIMITS_IN_ORDER,
}
each_table = pytest.mark.parametrize("name", TABLES)


@each_table
async def test_each_transfer_gets_its_status(ledger: Ledgerful, name: str) -> None:
    """What becomes of a transfer is the first that applies, and what is left holds together."""
    await Table(ledger).play(TABLES[name])
    await ledger.seal()
    found = await ledger.verify()
    assert found.ok, found.findings


@each_table
async def test_a_batch_answers_as_its_transfers_would_one_by_one(ledger: Ledgerful, name: str) -> None:
    """Cutting a batch into batches of one changes no answer."""
    await Table(ledger).play(TABLES[name], one_by_one=True)


@each_table
async def test_a_large_batch_answers_as_a_small_one(ledger: Ledgerful, name: str) -> None:
    """The way of a batch that is written before its ids are looked up comes to the same answers."""
    await Table(ledger).play(TABLES[name], beside=LOOK_UP_FIRST + 1)


def test_every_status_is_in_the_table() -> None:
    """A new status does not go untested."""
    told = set(re.findall(r"→ (\w+)", EACH_STATUS))
    assert told == {status.name.lower() for status in Status}


def test_every_status_comes_before_the_next_that_can_apply_beside_it() -> None:
    """Each status that another can stand beside is in the table of precedence; the others are told why not."""
    told = set(re.findall(r"→ (\w+)", PRECEDENCE))
    alone = {
        "unknown_hold", "unknown_transfer",  # what it relates to is not there, so nothing else can be wrong with it
        "exceeds_hold", "limit_exceeded", "nothing_to_move",  # the last to be judged, each of other kinds of transfers
    }  # fmt: skip
    assert told | alone == {status.name.lower() for status in Status}


async def test_a_closing_is_seen_at_once_by_who_remembers_the_account_open(
    ledger: Ledgerful, pool: asyncpg.Pool
) -> None:
    """A process that has posted to an account learns of its closing by the epoch, not by chance."""
    elsewhere = await open_ledger(pool)
    elsewhere.accounts = ledger.accounts
    assert await elsewhere.move(("bank", "ada", 1)) == [Status.POSTED]
    await ledger.close("ada")
    assert await elsewhere.move(("bank", "ada", 1)) == [Status.CREDIT_ACCOUNT_CLOSED]


async def test_a_large_batch_is_posted_and_known_again(ledger: Ledgerful) -> None:
    """A batch above the size that looks ids up first is posted, and the same again is known from first to last."""
    batch = ledger.batch([(uuid7(), "bank", "ada", 1) for _ in range(LOOK_UP_FIRST + 50)])
    assert set(await ledger.post(batch)) == {Status.POSTED}
    assert set(await ledger.post(batch)) == {Status.KNOWN}
    assert await ledger.balance("ada") == len(batch)


async def test_one_known_transfer_in_a_large_batch_spoils_nothing(ledger: Ledgerful) -> None:
    """A large batch with two transfers that were posted before, one with other content, posts the rest."""
    batch = ledger.batch([(uuid7(), "bank", "ada", 1) for _ in range(LOOK_UP_FIRST + 50)])
    assert await ledger.post(batch[[7, 300]]) == [Status.POSTED] * 2
    batch["amount"][300] = 2
    statuses = await ledger.post(batch)
    assert (statuses[7], statuses[300]) == (Status.KNOWN, Status.ID_CONFLICT)
    assert statuses.count(Status.POSTED) == len(batch) - 2
    assert await ledger.balance("ada") == len(batch)


async def test_an_id_twice_in_a_large_batch_is_posted_once(ledger: Ledgerful) -> None:
    """Repeats within a batch are found whatever its size."""
    batch = ledger.batch([(uuid7(), "bank", "ada", 1) for _ in range(LOOK_UP_FIRST + 50)])
    batch["transfer_id"][200] = batch["transfer_id"][3]
    batch["transfer_id"][201] = batch["transfer_id"][3]
    batch["amount"][201] = 9
    statuses = await ledger.post(batch)
    assert (statuses[3], statuses[200], statuses[201]) == (Status.POSTED, Status.KNOWN, Status.ID_CONFLICT)
    assert await ledger.balance("ada") == len(batch) - 2


async def test_a_large_batch_keeps_limits_on_either_path(ledger: Ledgerful) -> None:
    """Limits are judged the same before and after a duplicate sent the batch round again."""
    count = LOOK_UP_FIRST + 50
    await ledger.move(("bank", "purse", count))
    first = ledger.batch([(uuid7(), "purse", "ada", 2) for _ in range(count)])
    statuses = await ledger.post(first)
    assert statuses == [Status.POSTED] * (count // 2) + [Status.LIMIT_EXCEEDED] * (count // 2)
    await ledger.move(("bank", "purse", 10))
    statuses = await ledger.post(first)
    expected = [Status.KNOWN] * (count // 2) + [Status.POSTED] * 5 + [Status.LIMIT_EXCEEDED] * (count // 2 - 5)
    assert statuses == expected
    assert await ledger.balance("purse") == 0


async def test_a_group_is_posted_as_a_whole_or_not_at_all(ledger: Ledgerful) -> None:
    """One transfer of a group that is not in order keeps all of them out, and the error names it."""
    with pytest.raises(GroupFailed) as failed:
        await Table(ledger).play("T1 bank ada 5 → posted\nT2 purse ada 1 → limit_exceeded", group=True)
    assert failed.value.field == "transfers[1]"
    assert await ledger.balance("ada") == 0
    await Table(ledger).play("T1 bank ada 5 → posted\nT2 bank purse 1 → posted\nT3 purse ada 1 → posted", group=True)
    await Table(ledger).play("T1 bank ada 5 → posted\nT1 bank ada 5 → known", group=True)


async def test_a_large_group_that_fails_leaves_nothing(ledger: Ledgerful) -> None:
    """A failing group of the optimistic size leaves neither rows nor a broken connection behind."""
    batch = ledger.batch([(uuid7(), "bank", "ada", 1) for _ in range(LOOK_UP_FIRST)] + [(uuid7(), "purse", "ada", 1)])
    with pytest.raises(GroupFailed):
        await ledger.post(batch, group=True)
    assert await ledger.balance("ada") == 0
    assert await ledger.move(("bank", "ada", 1)) == [Status.POSTED]


async def test_sums_beyond_64_bits_are_refused_within_a_batch_and_kept_across(ledger: Ledgerful) -> None:
    """One batch whose sum overflows is told to be cut; in separate batches the account just grows, exactly."""
    with pytest.raises(BatchTooLarge):
        await ledger.move(("bank", "ada", MAX_AMOUNT), ("bank", "ada", 1))
    assert await ledger.balance("ada") == 0
    assert await ledger.move(("bank", "ada", MAX_AMOUNT), ("bob", "bank", MAX_AMOUNT)) == [Status.POSTED] * 2
    for _ in range(2):
        await ledger.move(("bank", "ada", MAX_AMOUNT))
    assert await ledger.balance("ada") == 3 * MAX_AMOUNT
    assert await ledger.balance("bank") == -2 * MAX_AMOUNT
    await ledger.seal()
    assert (await ledger.verify()).ok


async def test_a_limit_on_one_side_leaves_the_other_free_however_far(ledger: Ledgerful) -> None:
    """An account with only an upper limit can be debited beyond what 64 bits hold."""
    for _ in range(3):
        assert await ledger.move(("jar", "ada", MAX_AMOUNT)) == [Status.POSTED]
    assert await ledger.move(("jar", "ada", 5), ("bank", "jar", 5)) == [Status.POSTED] * 2
    assert await ledger.balance("jar") == -3 * MAX_AMOUNT


async def test_the_largest_batch_fits(ledger: Ledgerful) -> None:
    """A batch of the largest size is posted whole and sealed in order."""
    batch = ledger.batch([(uuid7(), "bank", "ada", 1)]).repeat(MAX_BATCH)
    batch["transfer_id"] = np.frombuffer(np.random.default_rng(1).bytes(16 * MAX_BATCH), "V16")
    assert set(await ledger.post(batch)) == {Status.POSTED}
    assert await ledger.seal() == 1


def test_what_two_transfers_must_agree_in_is_all_but_id_and_message() -> None:
    """A new column takes part in telling a repeat from a conflict, unless it is listed here as not."""
    assert {*COMPARED.values(), "amount"} == set(COLUMNS.names or ()) - {"transfer_id", "message_place"}


async def test_an_account_of_a_rolled_back_transaction_is_forgotten(ledger: Ledgerful, pool: asyncpg.Pool) -> None:
    """A transaction that opened an account, posted to it and was rolled back leaves no memory of the account's id."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await open_accounts(connection, ledger.recorded, [NewAccount("new", "USD")])
        ids = await resolve_accounts(connection, ledger.book.ledger, ["bank", "new"])
        asked = message("main", "rolled-back", "ledger.transfers", {})
        batch = ledger.batch([(uuid7(), "bank", "ada", 1)])
        batch["credit_account_id"] = ids[1]
        assert await post_and_keep(connection, ledger.book, batch, asked) == [Status.POSTED]
        await transaction.rollback()
        assert await resolve_accounts(connection, ledger.book.ledger, ["bank", "new"]) == [ids[0], 0]
    assert await ledger.post(batch) == [Status.UNKNOWN_CREDIT_ACCOUNT]


async def test_batches_with_the_same_ids_at_once_post_each_once(ledger: Ledgerful) -> None:
    """Whoever comes second with an id, at the same moment, finds it known: in small batches and in large ones."""
    for count in (20, LOOK_UP_FIRST + 20):
        batch = ledger.batch([(uuid7(), "bank", "bob", 1) for _ in range(count)])
        before = await ledger.balance("bob")
        answers = await asyncio.gather(*(ledger.post(batch) for _ in range(5)))
        assert sum(answer.count(Status.POSTED) for answer in answers) == count
        assert {status for answer in answers for status in answer} == {Status.POSTED, Status.KNOWN}
        assert await ledger.balance("bob") == before + count


async def test_one_key_sent_twenty_times_at_once_posts_once(house: House) -> None:
    """The same message from twenty callers at once is done once, and all get the same answer."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    transfer = {"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 5}
    answers = await asyncio.gather(*(house.do("ledger.transfer", "one-key", **transfer) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    batch = {"transfers": [{**transfer, "id": str(uuid7())}]}
    answers = await asyncio.gather(*(house.do("ledger.transfers", "another-key", **batch) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert (await house.do("ledger.balance", account="ada")).balance == 10


async def test_one_bad_transfer_among_many_that_arrive_together_suffers_alone(house: House) -> None:
    """Singles that are posted as one batch get each its own answer, and a message twice gets it twice."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")

    async def answer_of(key: str, amount: int, credit: str, transfer_id: str) -> str:
        fields = {"id": transfer_id, "debit": "bank", "credit": credit, "amount": amount}
        try:
            return str((await house.do("ledger.transfer", key, **fields)).status)
        except TallystickError as error:
            return error.code

    ids = [str(uuid7()) for _ in range(6)]
    answers = await asyncio.gather(
        answer_of("k0", 1, "ada", ids[0]),
        answer_of("k1", MAX_AMOUNT, "ada", ids[1]),
        answer_of("k2", 1, "nobody", ids[2]),
        answer_of("k3", MAX_AMOUNT, "ada", ids[3]),
        answer_of("k4", 0, "ada", ids[4]),
        answer_of("k5", 1, "ada", ids[0]),
        answer_of("k6", 2, "ada", ids[0]),
        answer_of("k0", 1, "ada", ids[0]),
        answer_of("k0", 2, "ada", ids[0]),
    )
    assert answers == [
        "ledger.posted", "ledger.posted", "ledger.unknown_credit_account", "ledger.posted", "invalid_input",
        "ledger.known", "ledger.id_conflict", "ledger.posted", "journal.id_reused",
    ]  # fmt: skip
    assert (await house.do("ledger.balance", account="ada")).balance == 1 + 2 * MAX_AMOUNT


def test_recipes_keep_their_numbers() -> None:
    """The numbers of reasons are in the leaves of the log, so they never change."""
    assert {reason.name: reason.value for reason in Reason} == {
        "TRANSFER": 1, "INVOICE_ISSUE": 2, "PAYMENT_SETTLE": 3, "SWEEP": 4, "REVERSAL": 5, "HOLD": 6, "CAPTURE": 7,
        "RELEASE": 8, "EXPIRE": 9, "EXCHANGE": 10, "CREDIT_GRANT": 11, "CREDIT_USE": 12, "CREDIT_RETURN": 21,
        "CREDIT_EXPIRE": 13, "CREDIT_VOID": 14, "INVOICE_CREDIT": 15, "INVOICE_VOID": 16, "INVOICE_WRITE_OFF": 17,
        "REPAYMENT_RECEIVE": 18, "REPAYMENT_ALLOCATE": 19, "REPAYMENT_REFUND": 20, "PAYMENT_REFUND": 22, "REFUND_SETTLE": 23,
        "REFUND_RELEASE": 24, "DISPUTE_OPEN": 25, "DISPUTE_WIN": 26, "DISPUTE_LOSE": 27, "PAYOUT": 28, "PROVIDER_FEE": 29, "PAYOUT_ADJUST": 30,
        "DEPOSIT": 32, "WITHDRAWAL": 33, "PAYMENT": 34, "FEE": 35,
        "INTEREST": 36, "REFUND": 37, "ADJUSTMENT": 38, "OPENING": 39,
    }  # fmt: skip

"""
The audit: what callers were answered, what readers saw and what the facts say must be one story.

It shares nothing with the engine but the description of the facts and of the log. Whatever does not fit is a line of
text; none is the proof.
"""

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.facts import Account, Facts, Message, Transfer
from tests.simulation.merkle import Leaf, Tree, read_checkpoint
from tests.simulation.model import CAPTURE, EXPIRE, HOLD, MAY_BE_REVERSED, RELEASE, REVERSAL, SWEEP, Model, Sums
from tests.simulation.workload import ACCOUNTS, Item

_KINDS = {
    "ledger.transfer": "transfer", "ledger.hold": "hold", "ledger.capture": "capture", "ledger.release": "release",
    "ledger.sweep": "sweep", "ledger.reverse": "reversal",
}  # fmt: skip
_REASONS = {
    "transfer": 1, "sweep": SWEEP, "reversal": REVERSAL, "hold": HOLD, "capture": CAPTURE, "release": RELEASE,
    "deposit": 32, "withdrawal": 33, "payment": 34, "fee": 35, "interest": 36, "refund": 37, "adjustment": 38,
    "opening": 39,
}  # fmt: skip
_POSTED, _KNOWN, _CONFLICT = "ledger.posted", "ledger.known", "ledger.id_conflict"


@dataclass(frozen=True, slots=True)
class Answered:
    """A message with its answer, as a caller has it: the answer itself, or the code of a refusal with the field."""

    lane: str
    number: int
    key: str
    operation: str
    input: dict[str, Any]
    answer: str | None
    code: str | None
    field: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """All that is held against each other."""

    facts: Facts
    answered: list[Answered]
    notes: list[str]
    """The checkpoints that readers saw, in the order in which they saw them."""
    balances: dict[str, dict[str, Any]]
    """What the API said of each account at the end."""
    public_key: str
    """The public key of the log, ``name+id+base64``."""


@dataclass(slots=True)
class Audit:
    """An audit under way."""

    story: Story
    problems: list[str] = field(default_factory=list)
    model: Model = field(init=False)
    codes: dict[str, Account] = field(init=False)
    by_message: dict[tuple[int, int], list[Transfer]] = field(init=False)

    def __post_init__(self) -> None:
        """Lay out what is looked up often."""
        facts = self.story.facts
        self.model = Model(facts.accounts)
        self.codes = {account.code: account for account in facts.accounts.values()}
        self.by_message = defaultdict(list)
        for one in facts.transfers:
            self.by_message[one.batch_id, one.message_place].append(one)

    def run(self) -> list[str]:
        """Look at everything and return what does not fit."""
        self._read_order()
        self._read_log()
        self._read_messages()
        self._read_answers()
        self._read_balances()
        return self.problems

    def _say(self, problem: str) -> None:
        self.problems.append(problem)

    def _read_order(self) -> None:
        """Take the transfers one after the other as the log has them; the model says what is wrong with each."""
        counted: dict[int, int] = defaultdict(int)
        before = 0
        for place, one in enumerate(self.story.facts.transfers):
            if one.place != place:
                self._say(f"place {place} of the log has transfer {one.id}, which stands at {one.place}")
            if one.batch_id < before:
                self._say(f"transfer {one.id} of batch {one.batch_id} stands behind batch {before}")
            if one.position != counted[one.batch_id]:
                self._say(f"transfer {one.id} has position {one.position} in batch {one.batch_id}")
            before = one.batch_id
            counted[one.batch_id] += 1
            self.model.take(one)
        if dict(counted) != self.story.facts.batches:
            self._say("the batches do not have as many transfers as they say")
        self.problems += self.model.problems

    def _read_log(self) -> None:
        """Hash the transfers into a tree, and find each checkpoint that was ever seen on its way."""
        roots: dict[int, bytes] = {}
        tree = Tree()
        messages = {(one.transaction_id, one.place): one for one in self.story.facts.messages.values()}
        for one in self.story.facts.transfers:
            message = messages.get((one.batch_id, one.message_place))
            if message is None:
                self._say(f"transfer {one.id} was made by no message")
                continue
            leaf = _leaf(self.story.facts.book, one, message)
            if hashlib.sha256(b"\x00" + leaf).digest() != one.leaf_hash:
                self._say(f"the leaf of transfer {one.id} is not the hash of what it says: {one}")
            tree.append(leaf)
            roots[tree.size] = tree.root()
        newest = 0
        for note in [*self.story.facts.checkpoints, "", *self.story.notes]:
            if not note:  # behind those that were kept, those that were seen begin anew
                newest = 0
                continue
            seen = read_checkpoint(note, self.story.public_key)
            if roots.get(seen.size) != seen.root:
                self._say(f"the checkpoint of size {seen.size} is not a beginning of the log")
            if seen.size < newest:
                self._say(f"the checkpoint of size {seen.size} came after that of size {newest}")
            newest = seen.size
        if self.story.notes and newest != tree.size:
            self._say(f"the newest checkpoint covers {newest} of {tree.size} transfers")

    def _read_messages(self) -> None:
        """Find that each message that was kept did what its answer says: all of it, and nothing else."""
        for one in self.story.facts.messages.values():
            if hashlib.sha256(one.body).digest() != one.hash:
                self._say(f"message {one.key} is not the one whose hash is kept")
            made = self.by_message.pop((one.transaction_id, one.place), [])
            answer = json.loads(one.answer)
            if one.operation == "ledger.expire_holds":
                self._read_expiries(one, answer, made)
                continue
            asked = _items(one)
            said = answer.get("items", [answer]) if asked and not one.refused else []
            posted = [item["id"] for item in said if item["status"] == _POSTED]
            if posted != [transfer.id for transfer in made]:
                self._say(f"message {one.key} was answered that it posted {posted}, and made {[x.id for x in made]}")
                continue
            if one.refused and len(asked) == 1:
                self._read_refusal(one, asked[0], answer["code"], answer["field"])
            for item, status in zip(asked, said, strict=bool(said)) if said else []:
                self._read_item(one, item, status)
            if one.input.get("group") and any(item["status"] not in {_POSTED, _KNOWN} for item in said):
                self._say(f"the group {one.key} was posted in part")
        for (batch_id, place), made in self.by_message.items():
            self._say(f"{len(made)} transfers of batch {batch_id} were made by message {place}, which was not kept")

    def _read_expiries(self, message: Message, answer: dict[str, Any], made: list[Transfer]) -> None:
        if message.refused or answer["expired"] != len(made):
            self._say(f"message {message.key} expired {len(made)} holds and said {answer}")
        for one in made:
            if one.reason != EXPIRE or one.hold_id not in message.input["holds"]:
                self._say(f"message {message.key} made transfer {one.id}, which it did not ask for")

    def _read_item(self, message: Message, item: Item, said: dict[str, Any]) -> None:
        """Find that what was said of one item is so."""
        where = f"message {message.key}, transfer {item['id']}"
        status = said["status"]
        if status not in {_POSTED, _KNOWN}:
            self._read_refusal(message, item, status, said["field"])
            return
        found = self.model.done.get(item["id"])
        if found is None:
            self._say(f"{where}: it was answered {status}, and is not there")
        elif differs := self._differs(item, found):
            self._say(f"{where}: it was answered {status}, and another {differs} is there")
        elif said["amount"] != found.amount:
            self._say(f"{where}: it was answered that it moved {said['amount']}, and it moved {found.amount}")

    def _read_refusal(self, message: Message, item: Item, status: str, blamed: str | None) -> None:
        where = f"message {message.key}, transfer {item['id']}: it was answered {status}, and"
        found = self.model.done.get(item["id"])
        if status == _CONFLICT:
            if found is None or (self._differs(item, found) is None):
                self._say(f"{where} there is none that differs (blamed: {blamed})")
            return
        if (why := self._find_groundless(item, status.removeprefix("ledger."))) is not None:
            self._say(f"{where} {why}")

    def _find_groundless(self, item: Item, status: str) -> str | None:
        """Return why a refusal cannot be right, as far as that can be told at the end; None when it may be."""
        hold = self.model.holds.get(item.get("hold", ""))
        target = self.model.done.get(item.get("reverses", ""))
        sides = self._sides(item)
        grounds = {
            "unknown_debit_account": item.get("debit") not in ACCOUNTS,
            "unknown_credit_account": item.get("credit") not in ACCOUNTS,
            "same_account": item.get("debit") == item.get("credit"),
            "asset_mismatch": len({account.asset for account in sides}) > 1 or "asset" in item,
            "debit_account_closed": any(account.closed for account in sides),
            "credit_account_closed": any(account.closed for account in sides),
            "unknown_hold": "hold" in item,
            "unknown_transfer": "reverses" in item,
            "not_reversible": target is not None and target.reason not in MAY_BE_REVERSED,
            "already_reversed": item.get("reverses") in self.model.reversed,
            "hold_ended": hold is not None and hold.ended,
            "hold_expired": hold is not None and hold.transfer.expires_at is not None,
            "exceeds_hold": hold is not None and item.get("amount", 0) > hold.left,
            "expires_too_early": "expires_at" in item,
            "limit_exceeded": "hold" not in item and any(_ever_limited(account) for account in sides),
            "nothing_to_move": item.get("kind") == "sweep" and any(_ever_limited(account) for account in sides),
        }
        return None if grounds.get(status) else "there is no ground for that"

    def _sides(self, item: Item) -> list[Account]:
        if target := self.model.done.get(item.get("reverses") or item.get("hold") or ""):
            return [self.story.facts.accounts[target.debit], self.story.facts.accounts[target.credit]]
        return [self.codes[code] for code in (item.get("debit"), item.get("credit")) if code in self.codes]

    def _differs(self, item: Item, found: Transfer) -> str | None:
        """Return the first thing in which a transfer is not what was asked."""
        accounts, assets = self.story.facts.accounts, self.story.facts.assets
        kind = item.get("kind", "transfer")
        amount: object = item.get("amount", 0)
        asked: dict[str, object] = {
            "reason": _REASONS[str(item.get("reason", kind))],
            "reference": item.get("reference"),
            "effective_at": _instant(item["effective_at"]) if "effective_at" in item else -(2**63),
        }
        there: dict[str, object] = {
            "reason": found.reason, "reference": found.reference, "effective_at": found.effective_at,
        }  # fmt: skip
        if kind in {"transfer", "sweep", "hold"}:
            asked |= {"debit": item["debit"], "credit": item["credit"]}
            there |= {"debit": accounts[found.debit].code, "credit": accounts[found.credit].code}
        if "asset" in item:
            asked["asset"], there["asset"] = item["asset"], assets[found.asset]
        for name, kinds, is_there in (
            ("amount", {"transfer", "hold"}, found.amount),
            ("amount", {"sweep"}, found.sweep_asked),
            ("amount", {"capture"}, found.use_asked),
        ):
            if kind in kinds:
                asked[name], there[name] = amount, is_there
        if kind == "hold":
            asked["expires_at"] = _instant(item["expires_at"]) if "expires_at" in item else 2**63 - 1
            there["expires_at"] = found.expires_at
        for name, is_there_of in (("hold", found.hold_id), ("reverses", found.reversed_id)):
            if name in item:
                asked[name], there[name] = item[name], is_there_of
        return next((name for name in asked if asked[name] != there[name]), None)

    def _read_answers(self) -> None:
        """Find that each answer a caller has is the one that was kept, and the first one."""
        for one in self.story.answered:
            where = f"{one.lane} {one.number}, message {one.key}"
            kept = self.story.facts.messages.get(one.key)
            if kept is None:
                self._say(f"{where}: it was answered {one.answer or one.code}, and is not kept")
                continue
            same = (kept.operation, _without_nulls(kept.input)) == (one.operation, _without_nulls(one.input))
            if one.code == "journal.id_reused":
                if same:
                    self._say(f"{where}: it was taken for another")
                continue
            if not same:
                self._say(f"{where}: it was answered like another that is kept under its key")
                continue
            first = json.loads(kept.answer)
            was = (first["code"], first["field"]) if kept.refused else (kept.answer.decode(), None)
            if was != (one.code if one.answer is None else one.answer, one.field):
                self._say(f"{where}: it was answered {one.answer or one.code}, and {was} is kept")

    def _read_balances(self) -> None:
        """Find that the API's balances are the model's, and that each asset's sum is zero."""
        sums: dict[str, int] = defaultdict(int)
        if set(self.story.balances) != set(self.codes):
            self._say(f"the API has the accounts {sorted(self.story.balances)}, and there are {sorted(self.codes)}")
        for code, said in self.story.balances.items():
            account = self.codes.get(code)
            is_ = self.model.sums[account.id] if account is not None else Sums()
            expected = {
                "debits": is_.debits, "credits": is_.credits, "balance": is_.balance, "held": is_.held,
                "incoming": is_.incoming, "available": is_.balance - is_.held,
            }  # fmt: skip
            if {name: said.get(name) for name in expected} != expected:
                self._say(f"the balance of {code} is {expected}, and the API says {said}")
            sums[said["asset"]] += said["balance"]
        for asset, total in sums.items():
            if total != 0:
                self._say(f"the balances in {asset} add up to {total}")


def _items(message: Message) -> list[Item]:
    """Return the transfers that a message asks for."""
    if message.operation == "ledger.transfers":
        return [_without_nulls(item) for item in message.input["transfers"]]
    if message.operation in _KINDS:
        return [{"kind": _KINDS[message.operation], **_without_nulls(message.input)}]
    return []


def _leaf(book: int, one: Transfer, message: Message) -> bytes:
    related = one.hold_id or one.reversed_id
    return Leaf(
        book, bytes.fromhex(one.id.replace("-", "")), one.debit, one.credit, one.asset, one.amount, one.reason,
        one.effective_at, one.recorded_at, message.hash, bytes.fromhex(related.replace("-", "")) if related else bytes(16),
        one.expires_at or 0, one.sweep_asked or one.use_asked or 0, one.reference or "",
    ).encode()  # fmt: skip


def _ever_limited(account: Account) -> bool:
    return any(lowest is not None or highest is not None for _, lowest, highest in account.limits)


def _without_nulls(content: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Leave out what is null or false and the plain kind, which say the same as what is left out; instants as numbers."""
    if isinstance(content, list):
        return [_without_nulls(one) for one in content]
    if not isinstance(content, dict):
        return content
    said = {name: _without_nulls(one) for name, one in content.items() if one is not None and one is not False}
    for name in {"effective_at", "expires_at"} & said.keys():
        said[name] = dt.datetime.fromtimestamp(0, dt.UTC).isoformat() if said[name] == "" else _normal(said[name])
    if said.get("kind") == "transfer":
        del said["kind"]
    return said


def _normal(instant: str) -> str:
    return dt.datetime.fromisoformat(instant).astimezone(dt.UTC).isoformat()


def _instant(text: str) -> int:
    since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def read_answered(lanes: Iterable[tuple[str, Path]]) -> tuple[list[Answered], list[str]]:
    """Read the files of the lanes: what was answered, and what should not have been."""
    answered, faults = [], []
    for lane, path in lanes:
        for text in path.read_text().splitlines() if path.exists() else []:
            line = json.loads(text)
            if "fault" in line:
                faults.append(f"{lane} {line['number']}, message {line['key']}: {line['fault']}")
            elif "code" in line:
                answered.append(Answered(lane, **line))
    return answered, faults

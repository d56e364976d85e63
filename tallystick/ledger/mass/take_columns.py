"""Take the columns of a block of a file: what is sent to the ledger, with the rows refused that no caller may send."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tallystick.ledger.files.model import ABSENT, Block, Codes, Kind, Mask, Places, Refusal
from tallystick.ledger.mass.encode_columns import TransferColumns, without_empty
from tallystick.ledger.model import HOLDS_ONLY, REVERSIBLE, Reason

CALLERS_REASONS = {
    reason.name.lower(): reason for reason in REVERSIBLE if reason is Reason.TRANSFER or reason >= Reason.DEPOSIT
}
"""What a caller may say a transfer is for."""
_MOVED_BY_PRODUCT = tuple(
    reason.name.lower() for reason in Reason if reason not in HOLDS_ONLY and reason.name.lower() not in CALLERS_REASONS
)
"""What an export says of the movements that only the product makes; elsewhere they are transfers."""
_OF_KINDS = {
    Kind.TRANSFER: Reason.TRANSFER,
    Kind.SWEEP: Reason.SWEEP,
    Kind.HOLD: Reason.HOLD,
    Kind.CAPTURE: Reason.CAPTURE,
    Kind.RELEASE: Reason.RELEASE,
    Kind.REVERSAL: Reason.REVERSAL,
}
_REASON_OF_KIND = np.array([_OF_KINDS[kind] for kind in sorted(Kind)], np.int16)
_NOT_DERIVED = "must be of another UUID version than 8, whose ids the product derives itself"
_REASONS_ALLOWED = f"must be one of {', '.join(CALLERS_REASONS)}"


def take_columns(block: Block, *, derived_ids: bool = False) -> TransferColumns:
    """
    Return the columns of *block*, each row judged as far as it can be by itself.

    With *derived_ids* ids are taken that the product may derive for transfers of its own: from the export of a book.
    """
    reasons, not_allowed = _reasons(block)
    refused = list(block.refused)
    bad = block.bad.copy()
    derived = _derived(block) & (not derived_ids)
    for where, field, rule in ((derived, "id", _NOT_DERIVED), (not_allowed, "reason", _REASONS_ALLOWED)):
        new = np.flatnonzero(where & ~bad).tolist()
        refused += [Refusal(place, field, rule) for place in new]
        bad[new] = True
    codes, (debits, credits_) = _sorted_codes([block.debits, block.credits])
    assets, (asset_places,) = ([], (None,)) if block.assets is None else _sorted_codes([block.assets])
    return without_empty(
        TransferColumns(
            ids=block.ids,
            codes=codes,
            debits=debits,
            credits=credits_,
            amounts=block.amounts,
            reasons=reasons,
            assets=assets,
            asset_places=asset_places,
            references=None if block.references is None else [one or "" for one in block.references],
            effective_at=block.effective_at,
            related=block.related,
            expires_at=block.expires_at,
            refused=sorted(refused, key=lambda refusal: refusal.place),
        )
    )


def _reasons(block: Block) -> tuple[npt.NDArray[np.int16], Mask]:
    """Return the reason of each row, and which rows give one that is no caller's."""
    reasons = np.full(len(block), Reason.TRANSFER, np.int16)
    not_allowed = np.zeros(len(block), np.bool_)
    if block.reasons is not None:
        allowed = dict.fromkeys(_MOVED_BY_PRODUCT, Reason.TRANSFER) | CALLERS_REASONS
        known = [int(allowed.get(name, 0)) for name in block.reasons.distinct]
        reasons = np.array([*known, Reason.TRANSFER], np.int16)[block.reasons.index]
        not_allowed = reasons == 0
        reasons[not_allowed] = Reason.TRANSFER
    if block.kinds is not None:
        of_kinds = _REASON_OF_KIND[block.kinds]
        reasons = np.where(block.kinds == Kind.TRANSFER, reasons, of_kinds).astype(np.int16)
    return reasons, not_allowed


def _derived(block: Block) -> Mask:
    """Say which ids are such as the product derives from content (RFC 9562 §5.8)."""
    digits = np.ascontiguousarray(block.ids).view(np.uint8).reshape(-1, 16)
    derived: Mask = (digits[:, 6] >> 4 == 8) & (digits[:, 8] >> 6 == 2)  # noqa: PLR2004 - version 8, and the variant
    return derived


def _sorted_codes(columns: Sequence[Codes]) -> tuple[list[str], list[Places]]:
    """
    Gather the distinct codes of *columns*, ascending, and for each column the places of its rows among them.

    Arrow sorts them, without holding Python up: of all that is done to a block this would take longest.
    """
    import pyarrow as pa  # noqa: PLC0415 - it takes a third of a second to load, which only files of transfers shall pay
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    encoded = pa.array([code for column in columns for code in column.distinct], pa.string()).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order) + 1, np.int32)
    ranks[np.asarray(order)] = np.arange(len(order))
    ranks[-1] = ABSENT
    places = ranks[np.asarray(encoded.indices)]
    ends = np.cumsum([len(column.distinct) for column in columns])
    found: list[Places] = []
    for column, end in zip(columns, ends.tolist(), strict=True):
        lookup = np.append(places[end - len(column.distinct) : end], np.int32(ABSENT))
        found.append(lookup[column.index])  # the index of what is absent is -1, the last
    return encoded.dictionary.take(order).to_numpy(zero_copy_only=False).tolist(), found

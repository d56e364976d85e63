"""Find every movement of the account's money in a stretch of time, by PayPal's transaction search."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from tallystick.payments.providers.paypal.answers import Movement, SearchPage, decode, to_instant
from tallystick.payments.providers.paypal.call import PayPalCall, check, issue_of

LONGEST: Final = dt.timedelta(days=30)
"""What one search covers at most: a day less than PayPal allows, so that whole seconds fit around it."""

AS_FAR_BACK: Final = dt.timedelta(days=3 * 365)
"""How long PayPal remembers."""

SHOWN_AFTER: Final = dt.timedelta(hours=3)
"""How long a movement may take to be found, where PayPal does not say up to when all are."""

_LONG_SHOWN: Final = dt.timedelta(days=2)
_PAGE: Final = 500
_SECOND: Final = dt.timedelta(seconds=1)
_PATH: Final = "/v1/reporting/transactions"
_TOO_MANY: Final = "RESULTSET_TOO_LARGE"
_DENIED: Final = "D"


class Search:
    """The transaction search of one account."""

    def __init__(self, call: PayPalCall) -> None:
        """Search by *call*."""
        self._call = call

    async def find_movements(self, start: dt.datetime, end: dt.datetime) -> list[Movement]:
        """
        Return what moved from *start* to before *end*, earliest first; at most `LONGEST` lies between them.

        Raises:
            ProviderUnreachable: not all is known (``payments.provider_unknown_outcome``).
            ProviderRefused: the account may not search (``payments.provider_refused``).
        """
        found = {(each.transaction_id, each.transaction_event_code): each for each in await self._search(start, end)}
        moved = [each for each in found.values() if each.transaction_status != _DENIED and start <= each.at < end]
        return sorted(moved, key=lambda each: each.at)

    async def find_with_balance(self, at: dt.datetime, transaction_id: str) -> Movement | None:
        """
        Return the movement *transaction_id* of that second, with the balance after it; None if there is none.

        Raises:
            ProviderUnreachable: there is no answer to rely on (``payments.provider_unknown_outcome``).
            ProviderRefused: the account may not search (``payments.provider_refused``).
        """
        page = await self._page(at, at + _SECOND, {})  # any filter would cost us the balance
        same = (detail.transaction_info for detail in page.transaction_details)
        return next((each for each in same if each.transaction_id == transaction_id), None)

    async def known_until(self, now: dt.datetime) -> dt.datetime:
        """Return up to when every movement can be found."""
        # From long enough ago that PayPal has something to show for it: it refuses what begins after its last refreshing.
        page = await self._page(now - _LONG_SHOWN, now, {"page_size": "1"})
        refreshed = page.last_refreshed_datetime
        return now - SHOWN_AFTER if refreshed is None else min(now, to_instant(refreshed))

    async def _search(self, start: dt.datetime, end: dt.datetime) -> Sequence[Movement]:
        movements: list[Movement] = []
        page_number, pages = 1, 1
        while page_number <= pages:
            parameters = {"page_size": str(_PAGE), "page": str(page_number), "fields": "transaction_info"}
            reply = await self._call.get(_PATH, _between(start, end) | parameters)
            if issue_of(reply) == _TOO_MANY and end - start > 2 * _SECOND:
                middle = start + (end - start) / 2
                return [*await self._search(start, middle), *await self._search(middle, end)]
            page = decode(check(reply), SearchPage)
            movements += [detail.transaction_info for detail in page.transaction_details]
            page_number, pages = page_number + 1, page.total_pages
        return movements

    async def _page(self, start: dt.datetime, end: dt.datetime, parameters: dict[str, str]) -> SearchPage:
        return decode(check(await self._call.get(_PATH, _between(start, end) | parameters)), SearchPage)


def windows(start: dt.datetime, end: dt.datetime) -> list[tuple[dt.datetime, dt.datetime]]:
    """Cut the time from *start* to *end* into pieces that a search covers, earliest first."""
    cuts = []
    while start < end:
        cuts.append((start, min(start + LONGEST, end)))
        start += LONGEST
    return cuts


def _between(start: dt.datetime, end: dt.datetime) -> dict[str, str]:
    """Ask in whole seconds, which is how PayPal counts, and for no less than was asked for."""
    last = end if end.microsecond == 0 else end + _SECOND
    return {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_date": f"{last:%Y-%m-%dT%H:%M:%SZ}"}

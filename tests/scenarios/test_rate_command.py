"""`tallystick rate preview` as a child process: what it shows, and with which exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import House
from tests.db.priced_usage import meter_requests, price, use
from tests.scenarios.serving_up import Said, tallystick

TIERS = '{"model": "graduated", "tiers": [{"up_to": "1000", "rate": "0.01", "flat": "2"}, {"up_to": null, "rate": "0.005"}]}'


class Rating:
    """The command on a database of the test's own."""

    def __init__(self, url: str, directory: Path) -> None:
        """Work in *directory*."""
        self.url, self.directory = url, directory

    async def __call__(self, content: str | None, *more: str) -> Said:
        """Preview a price; None: none is given."""
        named = []
        if content is not None:
            (self.directory / "price.json").write_text(content)
            named = ["--price", str(self.directory / "price.json")]
        return await tallystick(
            "rate", "preview", *named, *more, data=self.directory / "data", TALLYSTICK_POSTGRES_URL=self.url
        )


@pytest.fixture
def rating(house: House, database_url: str, tmp_path: Path) -> Rating:
    """Return the command on the house's database."""
    return Rating(database_url, tmp_path)


async def test_a_preview_shows_each_part_and_the_sum(rating: Rating) -> None:
    """Tier by tier, with the sentence and the amount."""
    said = await rating(TIERS, "--quantity", "1234", "--asset", "USD", "--unit", "requests")
    assert said.status == 0, said
    words = " ".join(said.out.split())
    for part in ("above 0, up to 1000", "tier fee", "above 1000", "1.17", "1,234 requests: 1,000", "USD 13.17"):
        assert part in words


async def test_a_preview_as_json_is_the_answer_of_the_operation(rating: Rating) -> None:
    """Programs read the same lines that people see."""
    said = await rating(TIERS, "--quantity", "1234", "--asset", "USD", "--share", "10/31", "--json")
    answer: dict[str, Any] = json.loads(said.out)
    assert answer["totals"] == [{"asset": "USD", "exponent": 2, "amount": 1182}]
    assert answer["lines"][0]["line"]["share"] == "10/31"


@pytest.mark.parametrize(
    ("content", "options", "complaint"),
    [
        (TIERS, ("--quantity", "1", "--asset", "XQZ"), "neither an asset of the book nor a currency"),
        ("{", ("--quantity", "1", "--asset", "USD"), "is no price in JSON"),
        (None, ("--price", "/nowhere.json"), "/nowhere.json cannot be read"),
    ],
)
async def test_what_cannot_be_previewed_is_one_line(
    rating: Rating, content: str | None, options: tuple[str, ...], complaint: str
) -> None:
    """A slip is told on one line that names it, with exit code 1."""
    said = await rating(content, *options)
    assert said.status == 1
    assert complaint in said.refusal()


async def test_a_customers_month_is_shown_charge_by_charge(house: House, rating: Rating) -> None:
    """Each line has its name, its span and its amount; the total stands below."""
    await meter_requests(house)
    await price(house, "0.50")
    await price(house, "0", charge="base", name="Base fee", meter=None, price={"model": "flat", "amount": "5"})
    await use(house, [("ada", "2015-05-10T00:00:00Z")])
    said = await rating(None, "--customer", "ada", "--from", "2015-05-01T00:00:00Z", "--to", "2015-06-01T00:00:00Z")
    assert said.status == 0, said
    words = " ".join(said.out.split())
    for part in ("API requests", "2015-05-01 00:00 to 2015-06-01 00:00 UTC", "Base fee", "total USD 5.50"):
        assert part in words

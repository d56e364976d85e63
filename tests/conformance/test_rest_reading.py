"""Balances, histories, statements and the chart of accounts over REST."""

from tests.conformance.conftest import Rest, transfer


async def test_a_backdated_transfer_changes_the_past_by_effective_time_alone(rest: Rest) -> None:
    """The two times are asked for in the query."""
    sent = transfer(effective_at="2015-06-01T00:00:00Z", reference="wire 7")
    assert (await rest.post("/transfers", **sent)).status_code == 200
    at = {"account": "ada", "at": "2015-06-02T00:00:00Z"}
    assert (await rest.get("/balance", **at)).json()["balance"] == 0
    assert (await rest.get("/balance", **at, by="effective")).json()["balance"] == 250
    assert (await rest.get("/balance", **at, by="both")).status_code == 400
    period = {"account": "ada", "since": "2015-06-01T00:00:00Z", "until": "2015-07-01T00:00:00Z"}
    statement = (await rest.get("/statement", **period, by="effective")).json()
    assert (statement["opening"]["balance"], statement["closing"]["balance"]) == (0, 250)
    assert [(one["reference"], one["balance"]) for one in statement["entries"]] == [("wire 7", 250)]
    assert (await rest.get("/statement", **period)).json()["entries"] == []


async def test_pages_are_turned_both_ways(rest: Rest) -> None:
    """Cursors go into the query as the page before gave them."""
    for amount in (1, 2, 3):
        assert (await rest.post("/transfers", **transfer(amount=amount))).status_code == 200
    first = (await rest.get("/history", account="ada", limit=2)).json()
    second = (await rest.get("/history", account="ada", limit=2, after=first["next"])).json()
    assert [one["amount"] for one in first["items"] + second["items"]] == [1, 2, 3]
    assert second["next"] is None
    back = (await rest.get("/history", account="ada", limit=2, before=second["previous"])).json()
    assert back["items"] == first["items"]
    last = (await rest.get("/history", account="", below="true", last="true", limit=1)).json()
    assert [(one["amount"], one["direction"]) for one in last["items"]] == [(3, "within")]


async def test_the_chart_of_accounts_is_read_step_by_step(rest: Rest) -> None:
    """The children of a path come with their totals."""
    await rest.open_accounts("customers/1", "customers/2")
    assert (await rest.post("/transfers", **transfer(credit="customers/2"))).status_code == 200
    roots = {one["path"]: one for one in (await rest.get("/accounts/tree")).json()["children"]}
    assert (roots["customers"]["below"], roots["customers"]["totals"][0]["balance"]) == (2, 250)
    below = (await rest.get_raw("/accounts/tree?path=customers")).json()["children"]
    assert [(one["name"], one["totals"][0]["balance"]) for one in below] == [("1", 0), ("2", 250)]

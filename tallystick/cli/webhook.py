"""`tallystick webhook`: who is told of what, how far that has come, and a receiver to try it with."""

import datetime as dt
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from tallystick.cli.console import complain, out
from tallystick.cli.run import Book, on_store, run
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Webhooks: others are told of what happens, signed and at least once.")

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, as `tallystick webhook list` shows it.")]
_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to: https, or http to a network of your own.")],
    events: Annotated[str | None, typer.Option(help="The types, with commas between; every one if left out.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    change: Annotated[str | None, typer.Option(metavar="ENDPOINT", help="Change this one instead.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Tell a URL of what happens from now on; its secret is shown this once."""
    fields: dict[str, object] = {"url": url, "description": description}
    if events is not None:
        fields["types"] = [one.strip() for one in events.split(",")]
    if change is not None:
        fields["endpoint_id"] = change
    _say_set(_do(book, "webhooks.set_endpoint", fields))


@app.command()
def rotate(
    endpoint: Endpoint,
    overlap: Annotated[int, typer.Option(min=0, metavar="SECONDS", help="For so long both secrets sign.")] = 86_400,
    book: Book = FIRST_BOOK,
) -> None:
    """Sign with a new secret, shown this once; the old one signs too for a while."""
    _say_set(_do(book, "webhooks.rotate_secret", {"endpoint_id": endpoint, "overlap_seconds": overlap}))


@app.command()
def disable(
    endpoint: Endpoint,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks.")] = "by hand",
    book: Book = FIRST_BOOK,
) -> None:
    """Send an endpoint nothing any more; what waits for it is kept."""
    _do(book, "webhooks.disable", {"endpoint_id": endpoint, "reason": reason})
    out.print("disabled")


@app.command()
def enable(
    endpoint: Endpoint,
    skip: Annotated[bool, typer.Option("--skip", help="Pass over what waits for it.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Send to an endpoint again: what waits for it first."""
    made = _do(book, "webhooks.enable", {"endpoint_id": endpoint, "skip": skip})
    out.print("enabled")
    _warn(made)


@app.command("test")
def try_out(endpoint: Endpoint, book: Book = FIRST_BOOK) -> None:
    """Send an endpoint, and no other, an event of the type webhook.test."""
    _do(book, "webhooks.test", {"endpoint_id": endpoint})
    out.print("a webhook.test waits for it; `tallystick up` sends it")


@app.command()
def replay(
    endpoint: Endpoint,
    since: Annotated[
        dt.datetime | None, typer.Option(formats=_FORMS, metavar="INSTANT", help="UTC if it has no zone.")
    ] = None,
    until: Annotated[
        dt.datetime | None, typer.Option(formats=_FORMS, metavar="INSTANT", help="Those before it.")
    ] = None,
    events: Annotated[str | None, typer.Option(help="Only these types, with commas between.")] = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="This event; as often as you like.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Send events once more, by time, type or id, under the ids they had."""
    fields: dict[str, object] = {"endpoint_id": endpoint}
    for name, value in (("start_at", since), ("end_at", until)):
        if value is not None:
            fields[name] = (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).isoformat()
    if events is not None:
        fields["types"] = [one.strip() for one in events.split(",")]
    if event_id:
        fields["events"] = event_id
    made = _do(book, "webhooks.replay", fields)
    out.print(f"{made.pending} wait for it now")


@app.command("list")
def list_endpoints(book: Book = FIRST_BOOK) -> None:
    """List every endpoint, and how it goes with it."""
    table = Table(
        Column("id", no_wrap=True, min_width=36), "url", "events", "state", "waiting", box=None, pad_edge=False
    )
    for one in _do(book, "webhooks.list", {}).items:
        state = one.state if one.reason is None else f"{one.state}: {one.reason}"
        if one.state == "enabled" and one.failures:
            state = f"failing since {one.failing_since:%Y-%m-%d %H:%M}"
        types = "all" if one.types is None else " ".join(one.types)
        table.add_row(str(one.endpoint_id), escape(one.url), types, escape(state), str(one.pending))
    out.print(table)


@app.command()
def deliveries(
    endpoint: Endpoint,
    state: Annotated[str | None, typer.Option(help="pending, delivered, given_up or skipped.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    book: Book = FIRST_BOOK,
) -> None:
    """List what was sent to an endpoint and what it answered, the newest first."""
    fields: dict[str, object] = {"endpoint_id": endpoint, "limit": limit}
    if state is not None:
        fields["state"] = state
    table = Table("told", "type", "subject", "state", "tries", "answer", box=None, pad_edge=False)
    for one in _do(book, "webhooks.deliveries", fields).items:
        answer = " ".join(str(part) for part in (one.status, one.answer) if part)
        table.add_row(
            f"{one.told_at:%Y-%m-%d %H:%M:%S}",
            one.type,
            escape(one.subject),
            one.state,
            str(one.attempts),
            escape(answer),
        )
    out.print(table)


@app.command()
def listen(
    secret: Annotated[str | None, typer.Option(envvar="WEBHOOK_SECRET", help="Checks the signatures.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen, on 127.0.0.1.")] = 8099,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
) -> None:
    """Receive webhooks here and print each as a line of JSON; with the secret, what is not signed by it is refused."""
    from tallystick.cli.webhook_listen import listen as receive  # noqa: PLC0415 - the only command that needs a server

    complain.print(f"listening on http://127.0.0.1:{port}/; Ctrl-C ends it", highlight=False)
    if secret is None:
        complain.print("without --secret nobody knows where these come from")
    run(lambda: receive(port, secret, count, lambda line: print(line, flush=True, file=sys.stdout)))


def _do(book: str, operation: str, fields: dict[str, object]) -> Any:  # noqa: ANN401 - each operation has its own
    return on_store(lambda store: store.operations.call(OPERATOR, book, operation, str(uuid7()), fields))


def _say_set(made: Any) -> None:  # noqa: ANN401 - an endpoint as its operation answers
    complain.print(
        f"{made.url}, {'every event' if made.types is None else ', '.join(made.types)}", highlight=False, markup=False
    )
    complain.print(f"  id      {made.endpoint_id}", highlight=False)
    _warn(made)
    if made.secret is not None:
        complain.print("  secret  shown this once:", highlight=False)
        print(made.secret)


def _warn(made: Any) -> None:  # noqa: ANN401 - as above
    if made.warning is not None:
        complain.print(
            f"[yellow]nothing can be sent there as things stand:[/yellow] {escape(made.warning)}", highlight=False
        )

"""A list fits the terminal that it is printed on, and leaves out nothing."""

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tallystick.cli.console import print_whole

ID = "01a203d5-a235-7f19-9903-12137cd9408d"
OTHER = "01a203d5-c8f6-7a52-95fd-a2d5d34ef08a"


def printed(width: int, *, terminal: bool = True) -> list[str]:
    """Print a table on a console that is so wide, and return the lines."""
    table = Table(box=None, pad_edge=False)
    for heading in ("payment", "started", "customer", "amount", "status", ""):
        table.add_column(heading, no_wrap=True)
    table.add_row(
        ID, "2026-06-02 10:00:00", "ada", "388 EUR", "failed", "declined: [insufficient_funds]".replace("[", "\\[")
    )
    table.add_row("", "", "", "12 EUR", "", "of which")
    table.add_row(OTHER, "2026-06-02 10:00:01", "bob", "99 EUR", "settled", "")
    file = io.StringIO()
    print_whole(Console(file=file, width=width, force_terminal=terminal), table)
    return [Text.from_ansi(line).plain.rstrip() for line in file.getvalue().splitlines()]


def test_a_row_that_is_wider_than_the_terminal_is_a_block() -> None:
    """At eighty columns each field has a line, and what says more of a row stands right below it."""
    lines = printed(80)
    assert max(map(len, lines)) <= 80
    assert lines == [
        f"payment   {ID}",
        "started   2026-06-02 10:00:00",
        "customer  ada",
        "amount    388 EUR",
        "status    failed",
        "          declined: [insufficient_funds]",
        "amount    12 EUR",
        "          of which",
        "",
        f"payment   {OTHER}",
        "started   2026-06-02 10:00:01",
        "customer  bob",
        "amount    99 EUR",
        "status    settled",
    ]


def test_where_there_is_room_it_stays_a_table() -> None:
    """A wide terminal, a pipe and a file get a line for each row, whatever their width."""
    for lines in (printed(200), printed(80, terminal=False)):
        assert [line.split()[0] for line in lines] == ["payment", ID, "12", OTHER]

"""`tallystick verify`: the whole ledger again, with a progress bar, and every changed row by name."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.ledger.books import find_book
from tallystick.ledger.findings import Verification
from tallystick.ledger.log_keys import load_public_key, origin_of
from tallystick.ledger.verify import verify
from tallystick.main import Store, keys_directory
from tallystick.settings import Settings


async def verify_with_progress(store: Store, settings: Settings, name: str, out: Console) -> bool:
    """Verify the book and say what was found; True if everything is as it was written."""
    columns = [TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("verify", total=None)

        def tick(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        async with store.operations.pool.acquire() as connection:
            book = await find_book(connection, name)
            public = load_public_key(keys_directory(settings), name)
            origin = origin_of(settings.log_origin, name) if public is None else public.name
            async with store.operations.begin(connection, isolation="repeatable_read"):
                found = await verify(connection, book.book_id, [public] if public else [], origin, progress=tick)
    _say(out, name, found)
    return found.ok


def _say(out: Console, name: str, found: Verification) -> None:
    mark = "[green]✓[/green]" if found.ok else "[red]✗[/red]"
    verdict = "all as they were written" if found.ok else "and something was changed behind their back"
    out.print(f"{mark} {name}: {found.transfers:,} transfers in {found.batches:,} batches, {verdict}", highlight=False)
    for count, what in (
        (found.messages, "messages"),
        (found.net_changes, "net changes"),
        (found.checkpoints, "checkpoints"),
        (found.size, "leaves in the log"),
    ):
        out.print(f"{count:>13,} {what}", highlight=False)
    for finding in found.findings:
        out.print(f"  [red]{escape(str(finding))}[/red]", highlight=False, soft_wrap=True)
    if found.found > len(found.findings):
        out.print(f"  and {found.found - len(found.findings):,} more", highlight=False)

"""`tallystick usage`: files of usage go in; what is there is shown, corrected, counted and moved."""

import typer

from tallystick.cli.listed import Listed, ListedCommands


class UsageCommands(ListedCommands):
    """All of them."""

    listed = (
        Listed("import", "usage_import:import_", "Import a file of usage. Doing it again, after a kill or when the file has grown, adds only what is new."),
        Listed("why", "usage_why:why", "Say where a usage event is: received when and how, billable by which rule, rated in which line, paid by what."),
        Listed("amend", "usage_archive:amend", "Amend an event: other numbers count from now on, and what is invoiced already is adjusted on the next invoice."),
        Listed("void", "usage_archive:void", "Take an event back: it does not count from now on, and what is invoiced already is adjusted on the next invoice."),
        Listed("totals", "usage_queries:totals", "Show what a meter reads, per hour, day or month of a time zone, or in all."),
        Listed("check-totals", "usage_queries:check_totals", "Bring the totals up to date, compare them with the single events, and name the first bucket that differs; then exit with 1."),
        Listed("export", "usage_queries:export", "Write what `usage totals` shows, or with --events the events behind it, to a file of Parquet, Arrow or CSV."),
        Listed("months", "usage_archive:months", "List the months of usage: attached, detached, exported or dropped, and how much there is of each."),
        Listed("detach", "usage_archive:detach", "Detach a month that is over: it stays in the store, and is neither read nor rated, but for its totals."),
        Listed("attach", "usage_archive:attach", "Attach a month again, with what came late for it meanwhile."),
        Listed("drop", "usage_archive:drop", "Drop a month that is detached and exported, and whose invoices are issued. That its events were there stays known."),
        Listed("export-month", "usage_archive:export", "Write a month that is detached to a Parquet file, with a manifest beside it: rows, order, SHA-256."),
        Listed("restore-month", "usage_archive:restore", "Read a month that was dropped back from its file, row for row; `attach` makes it count again."),
        Listed("retention", "usage_archive:retention", "Set how long months of usage stay, or show it. `retain` applies it."),
        Listed("retain", "usage_archive:retain_", "Detach, export and drop the months that the policy no longer keeps. Interrupted, run it again."),
    )  # fmt: skip


app = typer.Typer(cls=UsageCommands, no_args_is_help=True, help="Usage: billable events, each counted once.")

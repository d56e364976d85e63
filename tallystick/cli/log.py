"""`tallystick log`: checkpoints, proofs and keys of the log that proves every transfer; and eyes on the logs of others."""

import typer

from tallystick.cli.listed import Listed, ListedCommands


class LogCommands(ListedCommands):
    """All of them."""

    listed = (
        Listed("key", "log_keys:log_key", "Print the public keys of the book's log, which verify receipts: the newest first, one a line."),
        Listed("rotate", "log_keys:rotate", "Give the log a new key, which signs from the next checkpoint on."),
        Listed("checkpoint", "log_proofs:checkpoint", "Print the newest signed checkpoint."),
        Listed("prove", "log_proofs:prove", "Print the proof that a transfer is in the log (C2SP tlog-proof)."),
        Listed("consistency", "log_proofs:consistency", "Print two checkpoints, and the hashes that show the newer to continue the older, as JSON."),
        Listed("monitor", "log_watch:monitor", "Follow a log, and raise an alarm when it is not what it was."),
        Listed("judge", "log_watch:judge", "Say what a file of evidence proves against a log by its signatures alone."),
        Listed("witness", "log_witness:witness", "Be a witness (C2SP tlog-witness): cosign the checkpoints of others' logs, and never two that contradict each other."),
    )  # fmt: skip


app = typer.Typer(cls=LogCommands, no_args_is_help=True, help="The log that proves every transfer.")

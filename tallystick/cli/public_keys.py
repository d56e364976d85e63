"""Public keys of logs, as they are given on the command line."""

from pathlib import Path

from tallystick.errors import InvalidInput
from tallystick.ledger.log.note import Verifier, parse_keys


def read_public_keys(keys: list[str], field: str) -> list[Verifier]:
    """
    Read public keys, each given as it is or as the file that holds it and perhaps others.

    Raises:
        InvalidInput: one is neither, naming *field* (``invalid_input``).
    """
    found: list[Verifier] = []
    for key in keys:
        try:
            text = key if "+" in key and "\n" not in key and not Path(key).is_file() else Path(key).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(field=field, rule=f"{key[:100]} is neither a public key nor a file of them") from error
        found += parse_keys(text)
    return found

"""Ask a witness to cosign a checkpoint (C2SP tlog-witness): one exchange over HTTP, which can be made again."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.log.checkpoint import parse_decimal
from tallystick.ledger.log.cosignature import Cosignature, Witness, take_cosignatures
from tallystick.ledger.log.submission import StaleSize, Submission

_MOST_ANSWER_BYTES = 1 << 16


class WitnessUnreachable(TallystickError):
    """The witness {witness} did not answer ({reason}); whether it has cosigned is not known."""

    code = "log.witness_unreachable"
    kind = Kind.UNAVAILABLE


class WitnessRefused(TallystickError):
    """The witness {witness} does not cosign: {reason}."""

    code = "log.witness_refused"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class WitnessAddress:
    """Where a witness is asked, and the key by which its answers are judged."""

    url: str
    witness: Witness


def parse_witnesses(text: str) -> tuple[WitnessAddress, ...]:
    """
    Read witnesses as they are set: a URL and a public key each, with a space between, and a comma between witnesses.

    Raises:
        InvalidInput: a part is not a URL and a public key (``invalid_input``).
    """
    return tuple(_parse_one(part) for part in text.split(",") if part.strip())


def _parse_one(part: str) -> WitnessAddress:
    match part.split():
        case [url, key] if url.startswith(("http://", "https://")):
            return WitnessAddress(url.rstrip("/"), Witness.parse(key))
        case _:
            rule = "Expected an address, a space and the witness's public key, with a comma between witnesses"
            raise InvalidInput(field="TALLYSTICK_WITNESSES", rule=rule)


async def submit(
    client: aiohttp.ClientSession, address: WitnessAddress, submission: Submission, seconds: float = 10.0
) -> list[Cosignature]:
    """
    Submit a checkpoint and return the witness's cosignatures of it, verified: one at least.

    The whole exchange has so many *seconds*.

    Raises:
        WitnessUnreachable: no answer of use came, and it may have cosigned (``log.witness_unreachable``).
        StaleSize: it has not; it knows the log at another size (``log.stale_size``).
        WitnessRefused: it has not, and says why (``log.witness_refused``).
        BadNote, BadSignature: what it answered is not its cosignature (``log.bad_note``, ``log.bad_signature``).
    """
    name = address.witness.name
    try:
        async with (
            asyncio.timeout(seconds),
            client.post(f"{address.url}/add-checkpoint", data=bytes(submission), allow_redirects=False) as answer,
        ):
            body = await _read(answer)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise WitnessUnreachable(witness=name, reason=type(error).__name__) from error
    match answer.status:
        case HTTPStatus.OK:
            return take_cosignatures(submission.checkpoint, body, address.witness)
        case HTTPStatus.CONFLICT:
            raise StaleSize(_size_in(body, name))
        case status if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise WitnessRefused(witness=name, reason=f"HTTP {status}")
        case status:
            raise WitnessUnreachable(witness=name, reason=f"HTTP {status}")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read the answer, as much of it as one can have."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _MOST_ANSWER_BYTES:
            break
    return bytes(body)


def _size_in(body: bytes, name: str) -> int:
    try:
        return parse_decimal(body.decode("ascii").removesuffix("\n"))
    except ValueError as error:
        raise WitnessRefused(witness=name, reason="HTTP 409 without the size that it knows") from error

"""Only PayPal is believed to be PayPal: every way in which a webhook can pretend, and each is turned away."""

import asyncio
import base64
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from tallystick.clock import FixedClock
from tallystick.payments.providers.paypal.account import (
    CERTIFICATE_PATH,
    LIVE,
    PAYPAL_SANDBOX,
    TEST_NAME,
    CertificateSource,
    PayPalAccount,
)
from tallystick.payments.providers.paypal.check_webhook import check_webhook, signed_text
from tallystick.payments.providers.paypal.connection import Connection
from tallystick.payments.providers.paypal.find_certificate import (
    LARGEST,
    MOST_AT_ONCE,
    MOST_IN_VAIN,
    MOST_KEPT,
    Certificates,
)
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.payments.providers.paypal.read_event import read_event
from tallystick.payments.providers.protocol import EventKind, ProviderUnreachable, WebhookNotGenuine
from tallystick.payments.providers.sandbox.paypal_face.authority import Authority, Issued
from tallystick.payments.providers.sandbox.paypal_face.encode_webhook import signed

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
WEBHOOK_ID = "4JH86294D6297924G"
BODY = (
    b'{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","create_time":"2026-05-01T11:59:58Z","resource":'
    b'{"id":"CAP1","supplementary_data":{"related_ids":{"order_id":"ORDER1"}}}}'
)
DAY = dt.timedelta(days=1)
PATIENCE = 0.2
STEADY = 10.0


@cache
def authority() -> Authority:
    """Return the authority that these tests trust; its keys take a while, so there is one."""
    return Authority(NOW)


@cache
def stranger() -> Authority:
    """Return an authority that nobody trusts."""
    return Authority(NOW)


@cache
def issued(name: str = TEST_NAME, days_ago: int = 1, days_on: int = 1) -> Issued:
    """Return a certificate of the trusted authority's."""
    return authority().issue(name, NOW - days_ago * DAY, NOW + days_on * DAY)


def pem(*certificates: x509.Certificate) -> bytes:
    """Write certificates as they are fetched."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


@dataclass
class Keeper:
    """Who keeps the certificates, and what it does when it is asked for one."""

    base: str = ""
    asked: list[str] = field(default_factory=list)
    answer: Callable[[], web.StreamResponse] = field(default=lambda: web.Response(body=authority().chain))
    seconds: float = 0.0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.asked.append(request.path_qs)
        await asyncio.sleep(self.seconds)
        return self.answer()

    def url(self, name: str = "CERT-1") -> str:
        """Return where a certificate is."""
        return f"{self.base}{CERTIFICATE_PATH}{name}"

    def keep(self, *chain: x509.Certificate) -> None:
        """Answer with *chain* from now on."""
        self.answer = lambda: web.Response(body=pem(*chain))

    def answers(self, by_path: dict[str, bytes]) -> None:
        """Answer each path with its own from now on."""
        self.answer = lambda: web.Response(body=by_path[self.asked[-1]])

    def fails(self, status: int) -> None:
        """Answer with an error from now on."""
        self.answer = lambda: web.Response(status=status)

    def webhook(self, signer: Issued | None = None, at: dt.datetime = NOW, body: bytes = BODY) -> dict[str, str]:
        """Return the headers of a webhook as PayPal sends it."""
        return signed(signer or authority().issued, self.url(), WEBHOOK_ID, at, body)


@asynccontextmanager
async def served(keeper: Keeper) -> AsyncIterator[Keeper]:
    """Let *keeper* be asked over HTTP."""
    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", keeper.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    keeper.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield keeper
    await runner.cleanup()


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    """Serve certificates."""
    async with served(Keeper()) as running:
        yield running


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Fetch, however busy the machine is."""
    made = Connection(STEADY)
    yield made
    await made.close()


@pytest.fixture
def clock() -> FixedClock:
    """Return the time of these tests."""
    return FixedClock(NOW)


@pytest.fixture
def certificates(keeper: Keeper, connection: Connection, clock: FixedClock) -> Certificates:
    """Believe the trusted authority, at the keeper's."""
    return Certificates(CertificateSource((keeper.base,), (TEST_NAME,), (authority().anchor,)), connection, clock)


async def refused(
    headers: dict[str, str], certificates: Certificates, clock: FixedClock, why: str, body: bytes = BODY
) -> None:
    """See a webhook turned away."""
    with pytest.raises(WebhookNotGenuine, match=why):
        await check_webhook(headers, body, WEBHOOK_ID, certificates, clock)


async def test_a_genuine_webhook_is_believed(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """Its certificate is fetched once and kept."""
    for _ in range(3):
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    assert keeper.asked == [f"{CERTIFICATE_PATH}CERT-1"]


def test_the_checksum_is_unsigned_and_decimal() -> None:
    """As PayPal's own example has it: the check value of CRC-32 is 3421780262, which as a signed number is below zero."""
    assert signed_text("id", "time", "hook", b"123456789") == b"id|time|hook|3421780262"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:443@evil.example/v1/notifications/certs/CERT-1",
        "https://evil@api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:443/v1/notifications/certs/CERT-1",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "HTTPS://API.PAYPAL.COM/v1/notifications/certs/CERT-1",
        "//api.paypal.com/v1/notifications/certs/CERT-1",
        "https:/api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com\\@evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/oauth2/token",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://api.paypal.com/v1/notifications/certs/../../somebody/s/upload",
        "https://api.paypal.com/v1/notifications/certs/..",
        "https://api.paypal.com/v1/notifications/certs/%2e%2e/upload",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?at=evil.example",
        "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
        "https://api.paypal.com/v1/notifications/certs/CERT-1 ",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "file:///etc/ssl/cert.pem",
        "ftp://api.paypal.com/v1/notifications/certs/CERT-1",
        "api.paypal.com",
        f"https://api.paypal.com/v1/notifications/certs/{'C' * 300}",
    ],
)
async def test_a_certificate_is_taken_from_paypals_own_place_alone(
    connection: Connection, clock: FixedClock, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host, path, scheme or port, and every trick to make one look like the other: nobody is even asked."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("somebody was asked"))
    certificates = Certificates(PayPalAccount("id", "secret").certificates, connection, clock)
    headers = {**signed(authority().issued, address, WEBHOOK_ID, NOW, BODY)}
    await refused(headers, certificates, clock, "not kept by PayPal|missing or unreadable")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_is_not_followed(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, status: int
) -> None:
    """Whoever is sent elsewhere would ask somebody else."""
    elsewhere = keeper.url("CERT-2")
    keeper.answer = lambda: web.Response(status=status, headers={"Location": elsewhere}, body=authority().chain)
    with pytest.raises(ProviderUnreachable, match=f"HTTP {status}"):
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    assert keeper.asked == [f"{CERTIFICATE_PATH}CERT-1"]


async def test_a_certificate_that_is_its_own_authority_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """Anybody can sign a certificate with PayPal's name."""
    for chain in ([stranger().issued.certificate, stranger().anchor], [stranger().issued.certificate]):
        keeper.keep(*chain)
        await refused(keeper.webhook(stranger().issued), certificates, clock, "not PayPal's")
    # Nor does it help to lay a trusted one beside it.
    keeper.keep(stranger().issued.certificate, authority().anchor, authority().issued.certificate)
    await refused(keeper.webhook(stranger().issued), certificates, clock, "not PayPal's")


async def test_a_trusted_certificate_of_another_name_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """The authority issues to everybody; only PayPal is PayPal."""
    for name in ("evil.example", f"{TEST_NAME}.evil.example", f"x.{TEST_NAME}"):
        keeper.keep(issued(name).certificate, authority().anchor)
        await refused(keeper.webhook(issued(name)), certificates, clock, "not PayPal's")


async def test_a_certificate_signed_by_paypals_own_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """Who has a certificate is no authority."""
    signer = authority().issued
    forged = (
        x509.CertificateBuilder()
        .subject_name(stranger().issued.certificate.subject)
        .issuer_name(signer.certificate.subject)
        .public_key(stranger().issued.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(TEST_NAME)]), critical=False)
        .sign(signer.key, SHA512())
    )
    keeper.keep(forged, signer.certificate, authority().anchor)
    await refused(keeper.webhook(stranger().issued), certificates, clock, "not PayPal's")


@pytest.mark.parametrize("span", [(3, -1), (-1, 3)])
async def test_a_certificate_out_of_its_time_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, span: tuple[int, int]
) -> None:
    """It has ended, or has not begun."""
    signer = issued(TEST_NAME, *span)
    keeper.keep(signer.certificate, authority().anchor)
    await refused(keeper.webhook(signer), certificates, clock, "not valid now")


async def test_a_kept_certificate_ends_in_time(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """What was fetched while it was valid is not believed for longer."""
    signer = issued(TEST_NAME, 1, 1)
    keeper.keep(signer.certificate, authority().anchor)
    await check_webhook(keeper.webhook(signer), BODY, WEBHOOK_ID, certificates, clock)
    clock.at += 2 * DAY
    await refused(keeper.webhook(signer, clock.at), certificates, clock, "not valid now")


async def test_another_key_does_not_fit(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """PayPal's certificate, and somebody else's signature."""
    await refused(keeper.webhook(stranger().issued), certificates, clock, "does not fit")


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"CAP1", b"CAP2"), b"", BODY[:-1]])
async def test_an_altered_body_does_not_fit(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, body: bytes
) -> None:
    """One byte is enough."""
    await refused(keeper.webhook(), certificates, clock, "does not fit", body)


async def test_another_webhooks_message_does_not_fit(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """PayPal signs for whoever has an account; what it told somebody else is not for us."""
    headers = signed(authority().issued, keeper.url(), "8PT597110X687430L", NOW, BODY)
    await refused(headers, certificates, clock, "does not fit")


@pytest.mark.parametrize("late", [dt.timedelta(minutes=5, seconds=1), dt.timedelta(hours=1), -dt.timedelta(minutes=6)])
async def test_a_replay_is_too_old(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, late: dt.timedelta
) -> None:
    """What fits for ever is believed for five minutes, either way; nobody is asked for its certificate."""
    await refused(keeper.webhook(at=NOW - late), certificates, clock, "not sent just now")
    assert keeper.asked == []


async def test_a_replay_with_another_time_does_not_fit(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """The time is signed too."""
    old = keeper.webhook(at=NOW - dt.timedelta(hours=1))
    headers = {**old, "paypal-transmission-time": "2026-05-01T12:00:00Z"}
    await refused(headers, certificates, clock, "does not fit")


async def test_parts_cannot_be_moved_over_the_bar(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """An id with a bar in it would let the same text be read in two ways."""
    genuine = keeper.webhook()
    told = f"{genuine['paypal-transmission-id']}|{genuine['paypal-transmission-time']}"
    await refused({**genuine, "paypal-transmission-id": told}, certificates, clock, "its id is none")


@pytest.mark.parametrize("algorithm", ["SHA1withRSA", "sha256withrsa", "none", "HMACwithSHA256", "", "SHA256withRSA "])
async def test_no_other_algorithm_is_taken(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, algorithm: str
) -> None:
    """Whoever sends a webhook does not choose how it is checked."""
    headers = {**keeper.webhook(), "paypal-auth-algo": algorithm}
    await refused(headers, certificates, clock, "another algorithm|missing")


async def test_a_weaker_signature_under_the_strong_name_does_not_fit(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """SHA-1 by PayPal's own key is no SHA-256."""
    headers = keeper.webhook()
    text = signed_text(headers["paypal-transmission-id"], headers["paypal-transmission-time"], WEBHOOK_ID, BODY)
    weak = authority().issued.key.sign(text, PKCS1v15(), SHA1())  # noqa: S303 - the forgery that is tried
    headers["paypal-transmission-sig"] = base64.b64encode(weak).decode()
    await refused(headers, certificates, clock, "does not fit")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paypal-transmission-sig", "not base64 !"),
        ("paypal-transmission-sig", "QQ=="),
        ("paypal-transmission-sig", "A" * 10_000),
        ("paypal-transmission-time", "yesterday"),
        ("paypal-transmission-time", "2026-05-01T12:00:00"),
        ("paypal-transmission-time", "9" * 400),
        ("paypal-transmission-id", "é"),
        ("paypal-transmission-id", "a\nb"),
        ("paypal-cert-url", ""),
    ],
)
async def test_unreadable_headers_are_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, name: str, value: str
) -> None:
    """Whatever stands in a header, the answer is one of ours."""
    await refused({**keeper.webhook(), name: value}, certificates, clock, ".")


async def test_each_missing_header_is_refused(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """All five are needed."""
    genuine = keeper.webhook()
    for name in genuine:
        if name.startswith("paypal-"):
            without = {other: value for other, value in genuine.items() if other != name}
            await refused(without, certificates, clock, ".")


async def test_a_gigantic_certificate_is_cut_off(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """What does not end is read to a bound."""
    keeper.answer = lambda: web.Response(body=authority().chain + b"\n" * LARGEST)
    with pytest.raises(ProviderUnreachable, match=f"over {LARGEST} bytes"):
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)


async def test_a_certificate_that_unpacks_without_end_is_cut_off(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """A small answer can be a large one that was pressed together."""

    def pressed() -> web.StreamResponse:
        response = web.Response(body=b"\n" * (64 * LARGEST))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    keeper.answer = pressed
    with pytest.raises(ProviderUnreachable, match=f"over {LARGEST} bytes"):
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff" * 100, b"-----BEGIN CERTIFICATE-----\nAA\n"])
async def test_what_is_no_certificate_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock, content: bytes
) -> None:
    """Whatever is there instead."""
    keeper.answer = lambda: web.Response(body=content)
    await refused(keeper.webhook(), certificates, clock, "cannot be read")


async def test_an_endless_chain_is_refused(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """Nobody makes us search through a hundred certificates."""
    keeper.keep(authority().issued.certificate, *[authority().anchor] * 30)
    await refused(keeper.webhook(), certificates, clock, "too many")


def alone(signer: x509.Certificate, key: ec.EllipticCurvePrivateKey, above: str) -> Issued:
    """Return a certificate that says where the one above it is."""
    made = issued()
    builder = x509.CertificateBuilder(extensions=list(made.certificate.extensions)[:3])
    there = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(above))
    certificate = (
        builder.subject_name(made.certificate.subject)
        .issuer_name(signer.subject)
        .public_key(made.key.public_key())
        .serial_number(8)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityInformationAccess([there]), critical=False)
        .sign(key, SHA256())
    )
    return Issued(made.key, certificate)


@cache
def between() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return an authority below the trusted one."""
    anchor, anchor_key = authority()._anchor_and_key
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder(extensions=[one for one in anchor.extensions if one.oid == ExtensionOID.KEY_USAGE])
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "between")]))
        .issuer_name(anchor.subject)
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(anchor_key.public_key()), critical=False)
        .sign(anchor_key, SHA256())
    )
    return certificate, key


@pytest.mark.parametrize(("path", "believed"), [("/ca.crt", True), ("/elsewhere/ca.crt", False), ("/../ca.crt", False)])
async def test_a_certificate_that_comes_alone_is_completed_from_its_authority(
    keeper: Keeper, connection: Connection, clock: FixedClock, path: str, *, believed: bool
) -> None:
    """Authorities publish the certificates between; one is fetched from where we expect it, and nowhere else."""
    certificate, key = between()
    signer = alone(certificate, key, f"{keeper.base}{path}")
    answers = {f"{CERTIFICATE_PATH}CERT-1": pem(signer.certificate), "/ca.crt": certificate.public_bytes(Encoding.DER)}
    keeper.answers(answers)
    source = CertificateSource((keeper.base,), (TEST_NAME,), (authority().anchor,), issuers=(keeper.base,))
    certificates = Certificates(source, connection, clock)
    if believed:
        await check_webhook(keeper.webhook(signer), BODY, WEBHOOK_ID, certificates, clock)
        assert keeper.asked == list(answers)
    else:
        await refused(keeper.webhook(signer), certificates, clock, "not PayPal's")
        assert keeper.asked == [f"{CERTIFICATE_PATH}CERT-1"]


async def test_what_an_authority_publishes_is_judged_too(
    keeper: Keeper, connection: Connection, clock: FixedClock
) -> None:
    """It comes over plain HTTP, so anybody could have put another there."""
    stranger_anchor, stranger_key = stranger()._anchor_and_key
    signer = alone(stranger_anchor, stranger_key, f"{keeper.base}/ca.crt")
    source = CertificateSource((keeper.base,), (TEST_NAME,), (authority().anchor,), issuers=(keeper.base,))
    certificates = Certificates(source, connection, clock)
    for published in (stranger_anchor.public_bytes(Encoding.DER), b"no certificate", b"\xff" * 9):
        answers = {f"{CERTIFICATE_PATH}CERT-1": pem(signer.certificate), "/ca.crt": published}
        keeper.answers(answers)
        await refused(keeper.webhook(signer), certificates, clock, "not PayPal's")
    assert keeper.asked[1::2] == ["/ca.crt"] * 3


async def test_who_does_not_answer_says_nothing(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """Late, broken off or with an error: nobody knows whether the webhook is genuine, and PayPal sends it again."""
    connection = Connection(PATIENCE)
    source = CertificateSource((keeper.base,), (TEST_NAME,), (authority().anchor,))
    keeper.seconds = 3 * PATIENCE
    with pytest.raises(ProviderUnreachable, match="TimeoutError"):
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, Certificates(source, connection, clock), clock)
    await connection.close()
    keeper.seconds = 0.0
    for status in (500, 503, 429):
        keeper.fails(status)
        with pytest.raises(ProviderUnreachable, match=f"HTTP {status}"):
            await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    keeper.answer = lambda: web.Response(body=authority().chain)
    await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)


async def test_a_certificate_that_paypal_does_not_have_is_refused(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """That is PayPal's word, and a final one."""
    keeper.fails(404)
    await refused(keeper.webhook(), certificates, clock, "no such certificate")


async def test_few_certificates_are_kept(keeper: Keeper, certificates: Certificates, clock: FixedClock) -> None:
    """Whoever names ever others fills no memory, and the one in use stays."""
    for number in range(2 * MOST_KEPT):
        for name in (f"CERT-{number}", "CERT-used"):
            headers = {**keeper.webhook(), "paypal-cert-url": keeper.url(name)}
            await check_webhook(headers, BODY, WEBHOOK_ID, certificates, clock)
    assert len(certificates._kept) == MOST_KEPT
    assert keeper.asked.count(f"{CERTIFICATE_PATH}CERT-used") == 1


async def test_a_crowd_of_webhooks_fetches_one_certificate(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """All that come while it is on its way wait for the same."""
    keeper.seconds = 0.1
    told = (check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock) for _ in range(20))
    await asyncio.gather(*told)
    assert len(keeper.asked) == 1


async def test_a_crowd_of_forgeries_takes_no_connections_away(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """Few certificates are fetched at once; who names more of them is told to come again, which PayPal does."""
    keeper.seconds = 0.1

    async def forge(number: int) -> None:
        headers = {**keeper.webhook(), "paypal-cert-url": keeper.url(f"CERT-{number}")}
        await check_webhook(headers, BODY, WEBHOOK_ID, certificates, clock)

    answers = await asyncio.gather(*(forge(number) for number in range(50)), return_exceptions=True)
    assert len(keeper.asked) == MOST_AT_ONCE
    assert sum(isinstance(answer, ProviderUnreachable) for answer in answers) == 50 - MOST_AT_ONCE
    await forge(1)


async def test_forgeries_have_paypal_asked_a_few_times_a_minute(
    keeper: Keeper, certificates: Certificates, clock: FixedClock
) -> None:
    """Nobody outside can have us ask PayPal without end; the certificate that is kept counts all the while."""
    await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    keeper.fails(404)
    for number in range(MOST_IN_VAIN + 10):
        with pytest.raises(WebhookNotGenuine if number < MOST_IN_VAIN else ProviderUnreachable):
            await certificates.find_key(keeper.url(f"CERT-forged-{number}"))
    assert len(keeper.asked) == 1 + MOST_IN_VAIN
    await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    clock.at += dt.timedelta(minutes=1)
    keeper.keep(authority().issued.certificate)
    await certificates.find_key(keeper.url("CERT-new"))


async def test_without_a_webhook_id_nothing_is_believed(keeper: Keeper, clock: FixedClock) -> None:
    """Who did not say which webhook is theirs has none."""
    source = CertificateSource((keeper.base,), (TEST_NAME,), (authority().anchor,))
    account = PayPalAccount("id", "secret", None, keeper.base, test_source=source)
    async with PayPalProvider(account, clock) as provider:
        with pytest.raises(WebhookNotGenuine, match="no webhook"):
            await provider.read_webhook(keeper.webhook(), BODY)
    async with PayPalProvider(replace(account, webhook_id=WEBHOOK_ID), clock) as provider:
        assert (await provider.read_webhook(keeper.webhook(), BODY)).subject == "ORDER1"


def test_nobody_but_paypal_is_believed_where_money_is_real() -> None:
    """The authority of a test cannot be set beside PayPal's own address."""
    source = CertificateSource(("https://evil.example",), (TEST_NAME,), (stranger().anchor,))
    for url in (LIVE, PAYPAL_SANDBOX, "https://api.sandbox.paypal.com"):
        with pytest.raises(ValueError, match="not for PayPal's own"):
            PayPalAccount("id", "secret", url=url, test_source=source)
    assert PayPalAccount("id", "secret").certificates.origins[0] == "https://api.paypal.com"
    assert "secret-word" not in repr(PayPalAccount("id", "secret-word"))


async def test_the_machines_own_authorities_are_the_ones_that_count(
    keeper: Keeper, connection: Connection, clock: FixedClock
) -> None:
    """Without authorities of a test, those of the machine are asked, and a stranger is none of them."""
    certificates = Certificates(CertificateSource((keeper.base,), (TEST_NAME,)), connection, clock)
    try:
        await check_webhook(keeper.webhook(), BODY, WEBHOOK_ID, certificates, clock)
    except (WebhookNotGenuine, ProviderUnreachable) as failure:
        assert "not PayPal's" in failure.message or "trusts no certificate authority" in failure.message  # noqa: PT017 - a machine without any is one, too
    else:
        pytest.fail("a stranger was believed")


@pytest.mark.parametrize(
    ("event_type", "resource", "expected"),
    [
        ("CHECKOUT.ORDER.APPROVED", '{"id":"O1"}', (EventKind.TRANSACTION, "O1", "O1")),
        (
            "PAYMENT.CAPTURE.DENIED",
            '{"id":"C1","supplementary_data":{"related_ids":{"order_id":"O1"}}}',
            (EventKind.TRANSACTION, "O1", "O1"),
        ),
        ("PAYMENT.CAPTURE.COMPLETED", '{"id":"C1"}', (EventKind.OTHER, "WH-1", None)),
        ("PAYMENT.CAPTURE.REFUNDED", '{"id":"R1"}', (EventKind.REFUND, "R1", None)),
        ("PAYMENT.REFUND.FAILED", '{"id":"R1"}', (EventKind.REFUND, "R1", None)),
        ("PAYMENT.CAPTURE.REVERSED", '{"id":"R1"}', (EventKind.OTHER, "R1", None)),
        ("CUSTOMER.DISPUTE.RESOLVED", '{"dispute_id":"PP-D-1"}', (EventKind.DISPUTE, "PP-D-1", None)),
        ("BILLING.PLAN.CREATED", '{"id":"P1"}', (EventKind.OTHER, "P1", None)),
        ("SOMETHING", "{}", (EventKind.OTHER, "WH-1", None)),
    ],
)
def test_an_event_says_what_it_is_about(
    event_type: str, resource: str, expected: tuple[EventKind, str, str | None]
) -> None:
    """The thing is named as everybody else names it: a transaction by its order."""
    body = f'{{"id":"WH-1","event_type":"{event_type}","create_time":"2026-05-01T11:59:58.123Z","resource":{resource}}}'
    event = read_event(body.encode())
    assert (event.kind, event.subject, event.transaction_id) == expected
    assert (event.id, event.type) == ("WH-1", event_type)
    assert event.occurred_at == dt.datetime(2026, 5, 1, 11, 59, 58, 123_000, dt.UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id":"","event_type":"A","create_time":"x"}',
        b'{"id":"WH-1","event_type":"A","create_time":"0001-01-01T00:00:00+14:00"}',
        b'{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "list", "nothing", "bytes", "nameless", "timeless", "deep"],
)
def test_what_is_no_event_is_none(body: bytes) -> None:
    """Even from PayPal."""
    with pytest.raises(WebhookNotGenuine, match="no event"):
        read_event(body)

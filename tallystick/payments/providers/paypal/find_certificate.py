"""
Find the certificate that a webhook names, and say whether it is PayPal's.

Whoever sends a webhook chooses the address, so it must be one of PayPal's, written plainly; and whoever answers there
chooses the certificate, so it must have been made out to PayPal by an authority that we trust, and be valid now.
"""

import contextlib
import datetime as dt
import re
import ssl
import warnings
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tallystick.clock import Clock
from tallystick.payments.providers.paypal.account import CERTIFICATE_PATH, CertificateSource
from tallystick.payments.providers.paypal.connection import Connection
from tallystick.payments.providers.paypal.join import UnderWay
from tallystick.payments.providers.protocol import ProviderUnreachable, WebhookNotGenuine

LARGEST: Final = 64 * 1024
"""In bytes; a chain of certificates has a tenth of it."""

MOST_KEPT: Final = 16
"""How many chains are kept; PayPal signs with one or two."""

MOST_AT_ONCE: Final = 4
"""How many are fetched at once, so that whoever names ever others takes no connections away from payments."""

MOST_IN_VAIN: Final = 30
"""How many are fetched a minute that turn out not to be PayPal's; PayPal shuts out whoever asks it for ever others."""

_MINUTE: Final = dt.timedelta(minutes=1)
_LONGEST_CHAIN: Final = 8
_FOUND: Final = 200
_NOT_THERE: Final = range(400, 500)
_NOT_ABOUT_THE_ADDRESS: Final = frozenset({401, 403, 407, 408, 425, 429})
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chain:
    """What was fetched: the certificate that signs, and those above it."""

    leaf: x509.Certificate
    above: Sequence[x509.Certificate]


class Certificates:
    """
    The certificates that webhooks are signed with.

    What was fetched is kept, and judged anew each time: a certificate ends while it is kept. What failed to be
    PayPal's is not kept, so nobody can crowd the good ones out.
    """

    def __init__(self, source: CertificateSource, connection: Connection, clock: Clock) -> None:
        """Believe *source*, as of *clock*."""
        self._source = source
        self._connection = connection
        self._clock = clock
        self._kept: OrderedDict[str, Chain] = OrderedDict()
        self._under_way: UnderWay[Chain] = UnderWay(MOST_AT_ONCE)
        self._in_vain: deque[dt.datetime] = deque()
        """When what was fetched in the last minute, and is not known to be PayPal's, was asked for."""
        self._store: Store | None = None

    async def find_key(self, url: str) -> RSAPublicKey:
        """
        Return the key that the certificate at *url* is about.

        Raises:
            WebhookNotGenuine: the address is none of PayPal's, or what is there does not prove to be
                (``payments.webhook_not_genuine``).
            ProviderUnreachable: it could not be fetched (``payments.provider_unknown_outcome``).
        """
        self._check_address(url)
        chain = self._kept.get(url)
        if chain is not None:
            self._kept.move_to_end(url)
            return self._judge(chain)
        chain = await self._under_way.join(url, partial(self._fetch_and_keep, url))
        return self._judge(chain)

    def _check_address(self, url: str) -> None:
        """Take an origin and a plain name below PayPal's path, letter by letter: nothing is parsed, so nothing is misread."""
        starts = [f"{origin}{CERTIFICATE_PATH}" for origin in self._source.origins]
        start = next((start for start in starts if url.startswith(start)), None)
        if start is None or _NAME.fullmatch(url.removeprefix(start)) is None:
            raise WebhookNotGenuine(reason="its certificate is not kept by PayPal")

    async def _fetch_and_keep(self, url: str) -> Chain:
        """
        Fetch a chain, and keep it if it is PayPal's.

        Raises:
            ProviderUnreachable: too many were fetched in vain just now.
        """
        now = self._clock.now()
        while self._in_vain and self._in_vain[0] <= now - _MINUTE:
            self._in_vain.popleft()
        if len(self._in_vain) >= MOST_IN_VAIN:
            raise ProviderUnreachable(cause="too many certificates were asked for that are not PayPal's")
        self._in_vain.append(now)
        chain = await self._fetch(url)
        self._judge(chain)
        with contextlib.suppress(ValueError):  # a minute may have gone by
            self._in_vain.remove(now)
        self._kept[url] = chain
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return chain

    async def _fetch(self, url: str) -> Chain:
        reply = await self._connection.exchange("GET", url, {"Accept": "*/*"}, largest=LARGEST)
        if reply.status in _NOT_THERE and reply.status not in _NOT_ABOUT_THE_ADDRESS:
            raise WebhookNotGenuine(reason="PayPal has no such certificate")
        if reply.status != _FOUND:  # a redirection is no answer either: who follows one asks somebody else
            raise ProviderUnreachable(cause=f"HTTP {reply.status}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                leaf, *above = x509.load_pem_x509_certificates(reply.content)
        except ValueError:
            raise WebhookNotGenuine(reason="its certificate cannot be read") from None
        if len(above) >= _LONGEST_CHAIN:
            raise WebhookNotGenuine(reason="its certificate stands on too many others")
        return Chain(leaf, above or await self._fetch_above(leaf))

    async def _fetch_above(self, leaf: x509.Certificate) -> Sequence[x509.Certificate]:
        """Fetch the certificate that signed *leaf*, where that came alone; nothing if it names no place that we ask."""
        url = _issuer_of(leaf)
        origin = next((one for one in self._source.issuers if url.startswith(f"{one}/")), None)
        if origin is None or _NAME.fullmatch(url.removeprefix(f"{origin}/")) is None:
            return ()
        reply = await self._connection.exchange("GET", url, {"Accept": "*/*"}, largest=LARGEST)
        if reply.status != _FOUND:
            raise ProviderUnreachable(cause=f"HTTP {reply.status}")
        try:
            return (x509.load_der_x509_certificate(reply.content),)
        except ValueError:
            return ()

    def _judge(self, chain: Chain) -> RSAPublicKey:
        policy = PolicyBuilder().store(self._trusted()).time(self._clock.now())
        for name in self._source.names:
            try:
                policy.build_server_verifier(x509.DNSName(name)).verify(chain.leaf, list(chain.above))
            except VerificationError:
                continue
            key = chain.leaf.public_key()
            if not isinstance(key, RSAPublicKey):
                raise WebhookNotGenuine(reason="its certificate has no RSA key")
            return key
        raise WebhookNotGenuine(reason="its certificate is not PayPal's, or not valid now")

    def _trusted(self) -> Store:
        if self._store is None:
            anchors = self._source.anchors
            self._store = Store(_machine_anchors() if anchors is None else list(anchors))
        return self._store


def _issuer_of(leaf: x509.Certificate) -> str:
    """Return where the certificate above *leaf* is, as it says itself; empty if it does not."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    told = [one for one in access if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS]
    return str(told[0].access_location.value) if told else ""


def _machine_anchors() -> list[x509.Certificate]:
    """
    Return the authorities that this machine trusts.

    Raises:
        ProviderUnreachable: it trusts none, so nothing can be checked.
    """
    anchors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for encoded in ssl.create_default_context().get_ca_certs(binary_form=True):
            try:
                anchors.append(x509.load_der_x509_certificate(encoded))
            except ValueError:  # one that this library does not read is one that we do not trust
                continue
    if not anchors:
        raise ProviderUnreachable(cause="this machine trusts no certificate authority")
    return anchors

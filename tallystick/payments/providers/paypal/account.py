"""Whose PayPal account it is, where PayPal is, and whom to believe that a webhook is PayPal's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cryptography.x509 import Certificate

LIVE: Final = "https://api-m.paypal.com"
"""PayPal's API, where money is real."""

PAYPAL_SANDBOX: Final = "https://api-m.sandbox.paypal.com"
"""PayPal's own place for trying out, with accounts and money of its own."""

TEST_NAME: Final = "messageverificationcerts.sandbox.invalid"
"""What the certificate of a test is made out to; no machine can have this name."""

CERTIFICATE_PATH: Final = "/v1/notifications/certs/"
"""Below it, and nowhere else on its hosts, PayPal keeps the certificates that webhooks are signed with."""


_PAYPALS: Final = ".paypal.com"
_SANDBOXS: Final = ".sandbox.paypal.com"


def is_paypals(url: str) -> bool:
    """Say whether *url* is one of PayPal's own, however it is written: it has more names than the two above."""
    return _host_of(url).endswith(_PAYPALS)


def _host_of(url: str) -> str:
    """Return the host of *url*, in lower case and without the dot of the root, behind another one."""
    return f".{(urlsplit(url).hostname or '').rstrip('.')}"


@dataclass(frozen=True, slots=True)
class CertificateSource:
    """Where the certificates of webhooks may come from, and what they must prove."""

    origins: Sequence[str]
    """Scheme and host of the places to fetch them from, with the port where it is not the usual one."""
    names: Sequence[str]
    """The host names one of which the certificate must be made out to."""
    anchors: Sequence[Certificate] | None = None
    """The authorities that its chain must end at; None: those that this machine trusts."""
    issuers: Sequence[str] = ()
    """Where the certificate above it may be fetched from, as it names it, when it comes without: authorities publish theirs."""


_ISSUERS: Final = ("http://cacerts.digicert.com",)
"""Whom PayPal's certificates are from. Plain HTTP, as with every authority: what comes is judged by who signed it."""

_LIVE_SOURCE = CertificateSource(
    ("https://api.paypal.com", LIVE),
    ("messageverificationcerts.paypal.com",),
    issuers=_ISSUERS,
)
_SANDBOX_SOURCE = CertificateSource(
    ("https://api.sandbox.paypal.com", PAYPAL_SANDBOX),
    ("messageverificationcerts.sandbox.paypal.com", "messageverificationcerts.paypal.com"),
    issuers=_ISSUERS,
)


@dataclass(frozen=True, slots=True)
class PayPalAccount:
    """What PayPal gave us, and what we set; neither secret nor client id is ever printed."""

    client_id: str = field(repr=False)
    secret: str = field(repr=False)
    webhook_id: str | None = None
    """Which webhook of the account is ours; without it none is believed, since each signature is made over it."""
    url: str = LIVE
    return_url: str | None = None
    """Where PayPal sends the customer who has approved, or given up; PayPal's own page needs one."""
    test_source: CertificateSource | None = None
    """Whom to believe instead of PayPal: for tests, never with PayPal's own address."""

    def __post_init__(self) -> None:
        """
        Refuse to believe anybody but PayPal where the money is real.

        Raises:
            ValueError: a test's certificates were given for one of PayPal's own addresses.
        """
        if self.test_source is not None and is_paypals(self.url):
            raise ValueError("certificates for tests are not for PayPal's own addresses")

    @property
    def certificates(self) -> CertificateSource:
        """Return whom to believe; at an address that is not PayPal's own, PayPal all the same."""
        if self.test_source is not None:
            return self.test_source
        return _SANDBOX_SOURCE if _host_of(self.url).endswith(_SANDBOXS) else _LIVE_SOURCE

"""An authority of the sandbox's own, and the certificate that its PayPal webhooks are signed with."""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tallystick.payments.providers.paypal.account import TEST_NAME

_BEFORE: Final = dt.timedelta(days=1)
_AFTER: Final = dt.timedelta(days=365)
_KEY_BITS: Final = 2048


@dataclass(frozen=True)
class Issued:
    """A key, and the certificate about it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def sign(self, text: bytes) -> bytes:
        """Sign as PayPal does."""
        return self.key.sign(text, PKCS1v15(), SHA256())


class Authority:
    """
    Made anew with each process, and only when somebody asks: keys take a while.

    Whoever trusts it trusts nobody else's sandbox, and not this one's next process.
    """

    def __init__(self, now: dt.datetime) -> None:
        """Issue certificates that are valid *now* and for a year."""
        self._now = now

    @cached_property
    def anchor(self) -> x509.Certificate:
        """The authority's own certificate."""
        return self._anchor_and_key[0]

    @cached_property
    def issued(self) -> Issued:
        """The certificate that webhooks are signed with, and its key."""
        return self.issue(TEST_NAME, self._now - _BEFORE, self._now + _AFTER)

    @property
    def chain(self) -> bytes:
        """Return what is fetched to check a webhook: the certificate, and the authority's behind it."""
        return self.issued.certificate.public_bytes(Encoding.PEM) + self.anchor.public_bytes(Encoding.PEM)

    def issue(self, host_name: str, start: dt.datetime, end: dt.datetime) -> Issued:
        """Make a key, and a certificate about it for *host_name*."""
        anchor, anchor_key = self._anchor_and_key
        key = rsa.generate_private_key(65537, _KEY_BITS)
        certificate = (
            _builder(_named(host_name), anchor.subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(anchor_key.public_key()), critical=False)
            .sign(anchor_key, SHA256())
        )
        return Issued(key, certificate)

    @cached_property
    def _anchor_and_key(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named("Tallystick sandbox")
        certificate = (
            _builder(name, name, key.public_key(), self._now - _BEFORE, self._now + _AFTER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .sign(key, SHA256())
        )
        return certificate, key


_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    start: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )

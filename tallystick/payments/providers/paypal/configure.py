"""Put PayPal together from what an operator has set."""

from cryptography import x509

from tallystick.errors import Kind, TallystickError
from tallystick.payments.providers.paypal.account import (
    TEST_NAME,
    CertificateSource,
    PayPalAccount,
    is_paypals,
)
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.settings import Settings


class PayPalNotSet(TallystickError):
    """PayPal cannot be reached with these settings: {why}."""

    code = "payments.paypal_not_set"
    kind = Kind.INVALID


def paypal_of(settings: Settings) -> PayPalProvider:
    """
    Return PayPal as it is set.

    Raises:
        PayPalNotSet: the secret is missing, or authorities for tests are set where they must not be or cannot be read
            (``payments.paypal_not_set``).
    """
    if not settings.paypal_client_id or not settings.paypal_secret:
        raise PayPalNotSet(why="TALLYSTICK_PAYPAL_CLIENT_ID and TALLYSTICK_PAYPAL_SECRET go together")
    return PayPalProvider(
        PayPalAccount(
            client_id=settings.paypal_client_id,
            secret=settings.paypal_secret,
            webhook_id=settings.paypal_webhook_id,
            url=settings.paypal_url,
            return_url=settings.paypal_return_url,
            test_source=_test_source(settings),
        )
    )


def _test_source(settings: Settings) -> CertificateSource | None:
    if settings.paypal_test_anchors is None:
        return None
    if is_paypals(settings.paypal_url):
        raise PayPalNotSet(why="TALLYSTICK_PAYPAL_TEST_ANCHORS is for tests, and never for an address of PayPal's own")
    try:
        anchors = x509.load_pem_x509_certificates(settings.paypal_test_anchors.read_bytes())
    except (OSError, ValueError):
        raise PayPalNotSet(
            why="the file of TALLYSTICK_PAYPAL_TEST_ANCHORS has no certificate that can be read"
        ) from None
    return CertificateSource((settings.paypal_url,), (TEST_NAME,), anchors)

"""What an operator sets for PayPal, and what becomes of it when it is wrong."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tallystick.payments.providers.configure import open_providers
from tallystick.payments.providers.paypal.account import LIVE, PAYPAL_SANDBOX
from tallystick.payments.providers.paypal.configure import PayPalNotSet, paypal_of
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.payments.providers.sandbox.paypal_face.authority import Authority
from tallystick.settings import read_settings

SET = {"TALLYSTICK_PAYPAL_CLIENT_ID": "client-of-ours", "TALLYSTICK_PAYPAL_SECRET": " secret-of-ours\n"}


async def test_paypal_is_there_when_it_is_set(tmp_path: Path) -> None:
    """It takes payments that name nobody, and no sandbox stands beside it."""
    settings = read_settings({"TALLYSTICK_DATA": str(tmp_path), **SET})
    async with open_providers(settings) as (providers, beside):
        assert (providers.default, list(providers.by_name), beside) == ("paypal", ["paypal"], [])
        assert isinstance(providers.find(None), PayPalProvider)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, LIVE),
        ("live", LIVE),
        ("sandbox", PAYPAL_SANDBOX),
        ("https://paypal.example/", "https://paypal.example"),
        ("http://127.0.0.1:8/paypal", "http://127.0.0.1:8/paypal"),
    ],
)
def test_paypal_is_named_or_has_an_address(given: str | None, url: str) -> None:
    """Money is real unless somebody says otherwise."""
    settings = read_settings(SET if given is None else {**SET, "TALLYSTICK_PAYPAL_URL": given})
    assert settings.paypal_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TALLYSTICK_PAYPAL_URL", "test"),
        ("TALLYSTICK_PAYPAL_URL", "http://api-m.paypal.com"),
        ("TALLYSTICK_PAYPAL_URL", "https://"),
        ("TALLYSTICK_PAYPAL_URL", "https://api-m.paypal.com@evil.example"),
        ("TALLYSTICK_PAYPAL_URL", "ftp://api-m.paypal.com"),
        ("TALLYSTICK_PAYPAL_RETURN_URL", "shop.example/paid"),
        ("TALLYSTICK_PAYPAL_TEST_ANCHORS", "/nowhere/anchors.pem"),
    ],
)
def test_a_setting_that_is_none_is_named(name: str, value: str) -> None:
    """Nothing of ours goes to PayPal in the clear, or to somebody who looks like it."""
    with pytest.raises(ValueError, match=name):
        read_settings({name: value})


def test_a_secret_goes_with_its_client() -> None:
    """One without the other is a mistake that is told at the start."""
    with pytest.raises(PayPalNotSet, match="go together"):
        paypal_of(read_settings({"TALLYSTICK_PAYPAL_CLIENT_ID": "client-of-ours"}))


def test_the_authorities_of_a_test_are_not_for_real_money(tmp_path: Path) -> None:
    """They are taken for an address of one's own, and for none of PayPal's."""
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(Authority(dt.datetime(2026, 5, 1, tzinfo=dt.UTC)).anchor.public_bytes(Encoding.PEM))
    trusting = {**SET, "TALLYSTICK_PAYPAL_TEST_ANCHORS": str(anchors)}
    own = {"TALLYSTICK_PAYPAL_URL": "http://127.0.0.1:8/paypal"}
    source = paypal_of(read_settings({**trusting, **own}))._account.certificates
    assert source.origins == ("http://127.0.0.1:8/paypal",)
    assert source.anchors is not None
    for name in (
        "live",
        "sandbox",
        "https://API-M.PayPal.com",
        "https://api.paypal.com:443/",
        "https://api.paypal.com.",
    ):
        with pytest.raises(PayPalNotSet, match="never for an address of PayPal's own"):
            paypal_of(read_settings({**trusting, "TALLYSTICK_PAYPAL_URL": name}))
    anchors.write_bytes(b"nothing")
    with pytest.raises(PayPalNotSet, match="no certificate"):
        paypal_of(read_settings({**trusting, **own}))


def test_no_secret_of_paypals_is_printed_with_the_settings() -> None:
    """Settings that end in a log tell neither."""
    told = repr(read_settings(SET)) + repr(paypal_of(read_settings(SET))._account)
    assert not [hidden for hidden in ("secret-of-ours", "client-of-ours") if hidden in told]

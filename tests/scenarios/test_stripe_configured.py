"""Which providers a server has is decided by its settings."""

from pathlib import Path

import pytest

from tallystick.payments.providers.configure import open_providers
from tallystick.payments.providers.registry import UnknownProvider
from tallystick.payments.providers.stripe.provider import StripeProvider
from tallystick.settings import Settings, read_settings

SECRET = "sk_test_configured"
STRIPE = {"TALLYSTICK_STRIPE_SECRET": f" {SECRET}\n", "TALLYSTICK_STRIPE_WEBHOOK_SECRETS": "whsec_a, whsec_b,"}


def settings_of(directory: Path, **given: str) -> Settings:
    """Read settings as the server does."""
    return read_settings({"TALLYSTICK_DATA": str(directory), **given})


async def test_without_settings_there_is_the_sandbox_alone(tmp_path: Path) -> None:
    """Whoever tries the product out can take payments at once, and no real money."""
    async with open_providers(settings_of(tmp_path)) as (providers, beside):
        assert (providers.default, list(providers.by_name)) == ("sandbox", ["sandbox"])
        assert [name for name, _ in beside] == ["sandbox"]
        assert await providers.find(None).find_by_reference("nothing") is None


async def test_a_real_provider_stands_alone_unless_the_sandbox_is_asked_for(tmp_path: Path) -> None:
    """Where money is real nobody can pay with play money by naming the sandbox."""
    async with open_providers(settings_of(tmp_path, **STRIPE)) as (providers, beside):
        assert (providers.default, list(providers.by_name), beside) == ("stripe", ["stripe"], [])
        assert isinstance(providers.find(None), StripeProvider)
        with pytest.raises(UnknownProvider):
            providers.find("sandbox")
    assert not (tmp_path / "sandbox.jsonl").exists()


async def test_several_providers_stand_beside_each_other(tmp_path: Path) -> None:
    """The one that is set takes payments that name none, and each can be named."""
    asked = {"TALLYSTICK_SANDBOX": "yes", "TALLYSTICK_DEFAULT_PROVIDER": "sandbox"}
    async with open_providers(settings_of(tmp_path, **STRIPE, **asked)) as (providers, beside):
        assert (providers.default, sorted(providers.by_name)) == ("sandbox", ["sandbox", "stripe"])
        assert [name for name, _ in beside] == ["sandbox"]


async def test_a_sandbox_that_runs_elsewhere_is_reached_and_none_is_started(tmp_path: Path) -> None:
    """An address that is set is asking for it."""
    url = {"TALLYSTICK_PROVIDER_URL": "http://127.0.0.1:1"}
    async with open_providers(settings_of(tmp_path, **STRIPE, **url)) as (providers, beside):
        assert (providers.default, sorted(providers.by_name), beside) == ("stripe", ["sandbox", "stripe"], [])


@pytest.mark.parametrize("name", ["paypal", "Stripe", "nothing"])
async def test_a_default_that_is_not_there_is_told_at_the_start(tmp_path: Path, name: str) -> None:
    """Rather than at the first customer's payment."""
    given = settings_of(tmp_path, **STRIPE, TALLYSTICK_DEFAULT_PROVIDER=name)
    with pytest.raises(UnknownProvider, match=f"{name}; it has stripe"):
        async with open_providers(given):
            raise AssertionError


@pytest.mark.parametrize(
    ("name", "value", "must_be"),
    [
        ("TALLYSTICK_SANDBOX", "maybe", "yes or no"),
        ("TALLYSTICK_STRIPE_SECRET", " \n", "a secret, or not set at all"),
        ("TALLYSTICK_STRIPE_URL", "api.stripe.com", "begins with https"),
        ("TALLYSTICK_STRIPE_URL", "http://stripe.example", "begins with https"),
        ("TALLYSTICK_STRIPE_URL", "https://me@stripe.example", "begins with https"),
    ],
)
def test_a_setting_that_is_none_says_what_it_must_be(name: str, value: str, must_be: str) -> None:
    """The variable and the rule are named."""
    with pytest.raises(ValueError, match=f"{name}.*{must_be}"):
        read_settings({name: value})


def test_no_secret_is_printed_with_the_settings() -> None:
    """Settings that end in a log or a trace tell no secret."""
    url = "postgres://tallystick:of-the-store@db.example/tallystick"
    given = {**STRIPE, "TALLYSTICK_PROVIDER_SECRET": "of the sandbox", "TALLYSTICK_POSTGRES_URL": url}
    told = repr(read_settings(given))
    assert not [secret for secret in (SECRET, "whsec", "of the sandbox", "of-the-store") if secret in told]

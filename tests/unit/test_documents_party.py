"""Parties: what they say of themselves is held to its shape, and a bad one is told by field."""

from typing import Any

import pytest

from tallystick.documents.check_party import COUNTRIES, check_party, is_iban
from tallystick.documents.model import BankAccount
from tallystick.errors import InvalidInput
from tests.unit.printed import IBAN, make_party


def refused_field(**changed: Any) -> str | None:  # noqa: ANN401 - each field has its own type
    """Return which field of a party is to blame."""
    with pytest.raises(InvalidInput) as refused:
        check_party(make_party(**changed))
    return refused.value.field


def test_codes_are_written_in_one_way() -> None:
    """Blanks and dots go, letters are large, whatever was typed."""
    said = BankAccount("de89 3704 0044 0532 0130 00", "cobadeff")
    party = check_party(make_party(vat_id="de 123.456-789", bank=said))
    assert party.vat_id == "DE123456789"
    assert party.bank == BankAccount(IBAN, "COBADEFF")


def test_a_country_is_one_of_iso_3166() -> None:
    """Greece is GR, though its VAT ids begin with EL; the European Union is no country."""
    assert len(COUNTRIES) == 249
    assert {refused_field(country=one, vat_id=None) for one in ("XX", "EU", "EL", "UK")} == {"country"}
    assert check_party(make_party(country="GR", vat_id="EL123456789")).vat_id == "EL123456789"


def test_a_vat_id_has_the_shape_that_its_country_gives_it() -> None:
    """Member states have each their own; of others all that is asked for is letters and digits."""
    assert {refused_field(vat_id=one) for one in ("DE12345678", "ATU12345678", "123456789", "DE12345678٣")} == {
        "vat_id"
    }
    assert check_party(make_party(country="JP", vat_id="T1234567890123")).vat_id == "T1234567890123"
    assert check_party(make_party(country="CH", vat_id="CHE-123.456.789 MWST")).vat_id == "CHE123456789MWST"
    assert refused_field(country="CH", vat_id="???????") == "vat_id"


def test_an_iban_adds_up_or_is_refused() -> None:
    """What is not written as one is some other country's number, and stays as it is."""
    assert is_iban(IBAN)
    assert refused_field(bank=BankAccount("DE88370400440532013000")) == "bank.account"
    assert refused_field(bank=BankAccount(IBAN, "nonsense!")) == "bank.bic"
    other = check_party(make_party(bank=BankAccount(" 1234567 ")))
    assert other.bank is not None
    assert other.bank.account == "1234567"
    assert not is_iban("1234567")


def test_a_language_that_no_document_is_written_in_is_refused() -> None:
    """So is an address without an at sign."""
    assert refused_field(language="xx") == "language"
    assert refused_field(email="nowhere") == "email"

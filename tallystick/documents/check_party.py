"""Check what a party says of itself: country, VAT id, bank account."""

import re

from tallystick.documents.model import LANGUAGES, BankAccount, Party
from tallystick.errors import InvalidInput

COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK
    FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR
    IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
    ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
    PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF
    TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 - a list of 249 strings would be 249 lines
)
"""The codes of all countries in ISO 3166."""
_VAT_IDS = {
    "AT": r"ATU\d{8}",
    "BE": r"BE[01]\d{9}",
    "BG": r"BG\d{9,10}",
    "CY": r"CY\d{8}[A-Z]",
    "CZ": r"CZ\d{8,10}",
    "DE": r"DE\d{9}",
    "DK": r"DK\d{8}",
    "EE": r"EE\d{9}",
    "ES": r"ES[A-Z0-9]\d{7}[A-Z0-9]",
    "FI": r"FI\d{8}",
    "FR": r"FR[A-HJ-NP-Z0-9]{2}\d{9}",
    "GR": r"EL\d{9}",
    "HR": r"HR\d{11}",
    "HU": r"HU\d{8}",
    "IE": r"IE(\d{7}[A-W][A-I]?|\d[A-Z+*]\d{5}[A-W])",
    "IT": r"IT\d{11}",
    "LT": r"LT(\d{9}|\d{12})",
    "LU": r"LU\d{8}",
    "LV": r"LV\d{11}",
    "MT": r"MT\d{8}",
    "NL": r"NL\d{9}B\d{2}",
    "PL": r"PL\d{10}",
    "PT": r"PT\d{9}",
    "RO": r"RO\d{2,10}",
    "SE": r"SE\d{10}01",
    "SI": r"SI\d{8}",
    "SK": r"SK\d{10}",
}
"""How each member state of the European Union writes them."""
_OTHER_VAT_ID = r"[A-Z0-9]{4,20}"
_BETWEEN = re.compile(r"[\s.\-]")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def check_party(party: Party) -> Party:
    """
    Return the party with its codes written the one way that they are written.

    Raises:
        InvalidInput: the country, the language, or a code is none (``invalid_input``).
    """
    if party.country not in COUNTRIES:
        raise InvalidInput(
            field="country", rule=f"{party.country} is no country; write two letters of ISO 3166: AT, JP"
        )
    if party.language not in LANGUAGES:
        raise InvalidInput(field="language", rule=f"Expected one of {', '.join(LANGUAGES)}")
    if party.email is not None and not _EMAIL.fullmatch(party.email):
        raise InvalidInput(field="email", rule="Expected an address such as billing@example.com")
    vat_id = None if party.vat_id is None else _check_vat_id(party.country, party.vat_id)
    bank = None if party.bank is None else _check_bank(party.bank)
    return Party(
        party.customer, party.name, party.address, party.city, party.postcode, party.country, vat_id, party.registration,
        party.email, party.phone, party.language, bank, party.set_at,
    )  # fmt: skip


def _check_vat_id(country: str, given: str) -> str:
    """Look at the shape alone: whether it was ever given out, only a tax office can say."""
    written = _BETWEEN.sub("", given).upper()
    if not re.fullmatch(_VAT_IDS.get(country, _OTHER_VAT_ID), written, re.ASCII):
        how = f"{country} writes them otherwise" if country in _VAT_IDS else "expected 4 to 20 letters and digits"
        raise InvalidInput(field="vat_id", rule=f"{given} is no VAT id: {how}")
    return written


def _check_bank(bank: BankAccount) -> BankAccount:
    account = re.sub(r"\s", "", bank.account).upper()
    if _IBAN.fullmatch(account):
        if not _adds_up(account):
            raise InvalidInput(field="bank.account", rule=f"{bank.account} is no IBAN: its check digits do not fit")
    else:
        account = bank.account.strip()
    bic = None if bank.bic is None else re.sub(r"\s", "", bank.bic).upper()
    if bic is not None and not _BIC.fullmatch(bic):
        raise InvalidInput(field="bank.bic", rule=f"{bank.bic} is no BIC: expected 8 or 11 letters and digits")
    return BankAccount(account, bic, bank.bank, bank.holder)


def is_iban(account: str) -> bool:
    """Say whether a bank account is written as an IBAN whose check digits fit."""
    return bool(_IBAN.fullmatch(account)) and _adds_up(account)


def _adds_up(iban: str) -> bool:
    """Check the digits of ISO 13616: letters count from 10, and the whole is 1 modulo 97."""
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1

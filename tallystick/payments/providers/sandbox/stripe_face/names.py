"""Ids: the sandbox's own and those that Stripe would give, one from the other and back."""

from typing import Final

_PREFIXES: Final = {"sbx": "pi", "ref": "re", "dis": "dp", "pay": "po", "lin": "txn"}
_OWN: Final = {stripe: own for own, stripe in _PREFIXES.items()}


def stripe_id(own: str) -> str:
    """Return Stripe's id for what the sandbox calls *own*."""
    prefix, _, rest = own.partition("_")
    return f"{_PREFIXES.get(prefix, prefix)}_{rest}"


def own_id(stripe: str) -> str:
    """Return what the sandbox calls what has the id *stripe*; of nonsense, nonsense that nothing is called."""
    prefix, _, rest = stripe.partition("_")
    return f"{_OWN.get(prefix, 'unknown')}_{rest}"


def charge_id(own_transaction: str) -> str:
    """Return the id of the one charge of a transaction."""
    return f"ch_{own_transaction.partition('_')[2]}"


def client_secret(own_transaction: str, token: str) -> str:
    """Return what a customer's device shows for a transaction."""
    return f"{stripe_id(own_transaction)}_secret_{token.partition('_')[2]}"

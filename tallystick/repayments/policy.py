"""Policies: which invoice is repaid first when the money does not cover everything; data that anyone can read."""

from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput

MOST_PRODUCTS = 100
HEAVIEST = 1_000_000
_Product = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,62}$(?!\n)")]
Weight = Annotated[int, msgspec.Meta(ge=0, le=HEAVIEST)]


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every policy has: the products that it names."""

    @property
    def named(self) -> list[str]:
        """Return the products that it names, as they are written."""
        return []


class OldestFirst(_Policy, frozen=True, tag="oldest_first"):
    """What is due first is repaid first."""


class ProductOrder(_Policy, frozen=True, tag="product_order"):
    """One product after the other; those that are not named come last."""

    products: Annotated[list[_Product], msgspec.Meta(min_length=1, max_length=MOST_PRODUCTS)]

    @property
    def named(self) -> list[str]:
        """Return the products in their order."""
        return self.products


class HighestCostFirst(_Policy, frozen=True, tag="highest_cost_first"):
    """What costs its customer most a year is repaid first; what costs nothing, or says nothing of it, last."""


class ProRata(_Policy, frozen=True, tag="pro_rata"):
    """Each invoice gets the part of the money that it has of all that is due; left-over units go to the largest remainders."""


class FixedSplit(_Policy, frozen=True, tag="fixed_split"):
    """Each product gets its parts of the money; what it cannot take goes to the others, by theirs."""

    weights: Annotated[dict[_Product, Weight], msgspec.Meta(min_length=1, max_length=MOST_PRODUCTS)]

    @property
    def named(self) -> list[str]:
        """Return the products that have a weight."""
        return list(self.weights)


Policy = OldestFirst | ProductOrder | HighestCostFirst | ProRata | FixedSplit
DEFAULT: Policy = OldestFirst()
"""What counts where nobody has said otherwise."""


def require_sound(policy: Policy, field: str) -> None:
    """
    Find that a policy decides something: each product has one place, and somebody has a part.

    Raises:
        InvalidInput: a product comes twice, or all weights are zero (``invalid_input``).
    """
    if isinstance(policy, ProductOrder):
        twice = next((one for at, one in enumerate(policy.products) if one in policy.products[:at]), None)
        if twice is not None:
            rule = f"Each product has one place in the order; {twice} comes twice, so it would come before itself"
            raise InvalidInput(field=f"{field}.products", rule=rule)
    if isinstance(policy, FixedSplit) and not sum(policy.weights.values()):
        raise InvalidInput(field=f"{field}.weights", rule="At least one weight is above zero")

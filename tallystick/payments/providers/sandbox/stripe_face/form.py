"""Read a request as Stripe does: a form, in the body or in the query, whose every parameter is known."""

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from tallystick.payments.providers.sandbox.change import Refusal

_LARGEST_LIMIT = 100
_USUAL_LIMIT = 10


class WrongParameter(Refusal):
    """A parameter is missing, unknown or not what it must be."""

    def __init__(self, code: str, parameter: str) -> None:
        """Say with Stripe's *code* what is wrong with which *parameter*."""
        self.parameter = parameter
        super().__init__(400, code)


class Form:
    """The parameters of one request; those in brackets keep them, as in ``metadata[reference]``."""

    def __init__(self, text: bytes, known: Collection[str]) -> None:
        """
        Read *text*.

        Raises:
            WrongParameter: a parameter is none of the *known*.
        """
        pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)
        self._values: Mapping[str, str] = dict(pairs)
        self.text = text
        for name in self._values:
            if name.partition("[")[0] not in known:
                raise WrongParameter("parameter_unknown", name)

    def expands(self, what: str) -> bool:
        """Say whether *what* is to be shown whole."""
        return any(name.startswith("expand[") and value == what for name, value in self._values.items())

    def text_of(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self._values.get(name, "")
        if not value:
            raise WrongParameter("parameter_missing", name)
        return value

    def find(self, name: str) -> str | None:
        """Return a parameter, or None."""
        return self._values.get(name)

    def number(self, name: str) -> int:
        """Return a whole number above 0 that must be there."""
        value = self.text_of(name)
        if not (value.isascii() and value.isdecimal() and len(value) < len(str(2**63)) and int(value)):
            raise WrongParameter("parameter_invalid_integer", name)
        return int(value)

    def limit(self) -> int:
        """Return how many are to be listed at most."""
        limit = self.number("limit") if self.find("limit") is not None else _USUAL_LIMIT
        if limit > _LARGEST_LIMIT:
            raise WrongParameter("parameter_invalid_integer", "limit")
        return limit

"""Which payment providers this process reaches, and which takes a payment that names none."""

from collections.abc import Mapping
from dataclasses import dataclass

from tallystick.errors import Kind, TallystickError
from tallystick.payments.providers.protocol import Provider


class UnknownProvider(TallystickError):
    """The server has no payment provider {provider}; it has {known}."""

    code = "payments.unknown_provider"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class Providers:
    """The payment providers by name; *default* takes payments that name none."""

    default: str
    by_name: Mapping[str, Provider]

    @classmethod
    def only(cls, provider: Provider) -> "Providers":
        """Make a registry of one."""
        return cls(provider.name, {provider.name: provider})

    def find(self, name: str | None) -> Provider:
        """
        Return the provider *name*; None: the default one.

        Raises:
            UnknownProvider: there is none of that name (``payments.unknown_provider``).
        """
        found = self.by_name.get(name or self.default)
        if found is None:
            raise UnknownProvider(
                field="provider", provider=name or self.default, known=", ".join(sorted(self.by_name))
            )
        return found

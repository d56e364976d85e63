"""Authorise: may this principal do this to this book?"""

from tallystick.errors import Kind, TallystickError
from tallystick.security.model import Principal


class ScopeMissing(TallystickError):
    """The key does not hold the scope {scope}; ask an administrator for one that does."""

    code = "security.scope_missing"
    kind = Kind.FORBIDDEN


class OtherBook(TallystickError):
    """The key belongs to another book than {book}."""

    code = "security.other_book"
    kind = Kind.FORBIDDEN


def authorise(principal: Principal, scope: str, book: str) -> None:
    """
    Let pass only who holds *scope* on *book*.

    Raises:
        OtherBook: the principal belongs to another book (``security.other_book``).
        ScopeMissing: it does not hold the scope (``security.scope_missing``).
    """
    if principal.book is not None and principal.book != book:
        raise OtherBook(field="book", book=book)
    if not principal.holds(scope):
        raise ScopeMissing(scope=scope)

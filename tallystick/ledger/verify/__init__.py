"""Verify a ledger: recompute all of it from its rows, and name each row that does not fit."""

from tallystick.ledger.verify.model import Checker, Progress
from tallystick.ledger.verify.verify_book import verify

__all__ = ["Checker", "Progress", "verify"]

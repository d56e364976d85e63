"""Stripe's official SDK, kept quiet: what it would log or report holds secrets and people's addresses."""

import logging
import os

# Before the SDK is loaded, which reads it then: at "debug" it writes every request to standard error, email included.
os.environ.pop("STRIPE_LOG", None)

import stripe

__all__ = ["API_VERSION", "stripe"]

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's interface that is spoken here, whatever the account's own is: the one the SDK was made for."""

# The SDK has no switches but these two, for the whole process. At "debug" its logger tells whole requests and answers;
# its telemetry tells Stripe about this machine, and writes a file into the home directory.
logging.getLogger("stripe").setLevel(logging.WARNING)
stripe.enable_telemetry = False

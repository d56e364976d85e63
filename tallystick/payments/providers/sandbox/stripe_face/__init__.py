"""
The sandbox as Stripe: its HTTP interface below ``/stripe/v1/``, for clients that speak to Stripe, such as its own SDK.

It has what payments need of Stripe and no more, and is as strict: an unknown parameter is refused.
"""

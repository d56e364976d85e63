"""The page where a customer does what a provider asks of them: two buttons, one of which fails."""

from typing import Final

from tallystick.payments.providers.protocol import TransactionStatus
from tallystick.payments.providers.sandbox.change import Call, Refusal
from tallystick.payments.providers.sandbox.desk import Desk, Lost
from tallystick.payments.providers.sandbox.exchange import HTML, Exchange

PATH: Final = "/customer/"

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sandbox bank</title>
<style>body{font:1rem/1.5 system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}
button{font:inherit;padding:.5rem 1rem;margin-right:.5rem}</style></head>
<body><main><h1>Sandbox bank</h1><p>%s</p>%s</main></body></html>
"""
_BUTTONS = """<form method="post"><button name="succeeded" value="yes">Confirm</button>
<button name="succeeded" value="no">Refuse</button></form>"""


async def show_customer_page(desk: Desk, exchange: Exchange) -> None:
    """Show what the customer of a token is asked to do, or note what they chose."""
    token = exchange.path.removeprefix(PATH)
    try:
        transaction = desk.register.transactions.find_by_token(token)
        if exchange.method == "POST":
            succeeded = b"succeeded=yes" in await exchange.body()
            transaction = await desk.answer(
                Call.AUTHENTICATE,
                transaction.reference,
                lambda _: desk.register.transactions.authenticate(transaction.id, succeeded=succeeded),
            )
    except (Refusal, Lost) as failed:
        status = failed.status if isinstance(failed, Refusal) else 500
        await exchange.write(status, (_PAGE % ("There is nothing to confirm here.", "")).encode(), HTML)
        return
    if transaction.status is TransactionStatus.ACTION_REQUIRED:
        said = f"Pay {transaction.amount} minor units of {transaction.currency}?"
        await exchange.write(200, (_PAGE % (said, _BUTTONS)).encode(), HTML)
    else:
        await exchange.write(200, (_PAGE % (f"The payment is {transaction.status.value}.", "")).encode(), HTML)

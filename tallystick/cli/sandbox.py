"""`tallystick sandbox`: what a real payment provider would not let anybody do, on the sandbox that runs here."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from tallystick.cli.console import out, print_whole
from tallystick.cli.run import run, settings
from tallystick.errors import InvalidInput
from tallystick.payments.providers.protocol import ProviderTransaction
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.control import Holdings, SandboxControl
from tallystick.payments.providers.sandbox.door import Door, find_door
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind, Twist
from tallystick.payments.providers.sandbox.spoil import Flaw

app = typer.Typer(
    no_args_is_help=True, help="The sandbox: have payments fail, wait, be disputed and paid out, at will."
)

Done = TypeVar("Done")
Transaction = Annotated[str, typer.Argument(metavar="PAYMENT", help="The id of the payment, or the sandbox's of it.")]
Currency = Annotated[str, typer.Argument(help="Such as EUR.")]
Fails = Annotated[bool, typer.Option("--fail", help="It does not succeed.")]
Times = Annotated[int, typer.Option(min=1, max=1000, help="How many of them, one after the other.")]


class Outcome(Enum):
    """How a dispute ends."""

    WON = "won"
    LOST = "lost"


@app.command("list")
def show() -> None:
    """List what the sandbox holds."""
    held = _at_the_sandbox(lambda control: control.holdings())
    table = Table("id", "payment", "status", "minor units", "", box=None, pad_edge=False)
    for one in held.transactions:
        table.add_row(one.id, one.reference, one.status.value, str(one.amount), one.currency)
    for refund in held.refunds:
        table.add_row(refund.id, "refund", refund.status.value, str(-refund.amount), refund.currency)
    for dispute in held.disputes:
        table.add_row(dispute.id, "dispute", dispute.status.value, str(-dispute.amount), dispute.currency)
    for payout in held.payouts:
        table.add_row(payout.id, "payout", payout.status.value, str(payout.amount), payout.currency)
    print_whole(out, table)
    for currency, amount in sorted(held.owed.items()):
        out.print(f"{amount} minor units of {currency} wait for a payout", highlight=False)


@app.command()
def fault(
    call: Annotated[Call, typer.Argument(metavar="CALL", help="The call that fails.")],
    kind: Annotated[FaultKind, typer.Argument(metavar="KIND", help="How: before it happens, or after.")],
    times: Times = 1,
) -> None:
    """Have the next call of a kind fail, wait, or never be answered."""
    _at_the_sandbox(lambda control: control.order([Fault(call, kind)] * times))
    out.print(f"waits for the next {call.value}: {kind.value}{_often(times)}", highlight=False)


@app.command()
def twist(kind: Annotated[Twist, typer.Argument(metavar="KIND", help="What goes wrong.")], times: Times = 1) -> None:
    """Have the next webhook come twice, late, behind the next, beside a forged one, or never."""
    _at_the_sandbox(lambda control: control.order(webhooks=[kind] * times))
    out.print(f"waits for the next webhook: {kind.value}{_often(times)}", highlight=False)


@app.command()
def forget() -> None:
    """Drop the faults and twists that wait."""
    _at_the_sandbox(lambda control: control.forget())
    out.print("nothing waits any more")


@app.command()
def authenticate(payment: Transaction, fail: Fails = False) -> None:
    """Do for a customer what is asked of them, or fail to."""

    async def work(control: SandboxControl) -> ProviderTransaction:
        return await control.authenticate(_id_of(await control.holdings(), payment), succeeded=not fail)

    out.print(_at_the_sandbox(work).status.value)


@app.command()
def complete(payment: Transaction, fail: Fails = False) -> None:
    """Decide a payment that is processing."""

    async def work(control: SandboxControl) -> ProviderTransaction:
        return await control.complete(_id_of(await control.holdings(), payment), succeeded=not fail)

    out.print(_at_the_sandbox(work).status.value)


@app.command("decide-refund")
def decide_refund(
    refund: Annotated[str, typer.Argument(help="The sandbox's id of it.")], fail: Fails = False
) -> None:  # fmt: skip
    """Decide a refund that is pending."""
    out.print(_at_the_sandbox(lambda control: control.decide_refund(refund, succeeded=not fail)).status.value)


@app.command()
def dispute(
    payment: Transaction,
    amount: Annotated[int | None, typer.Option(min=1, help="Minor units; left out: all that is left.")] = None,
    reason: Annotated[str, typer.Option(help="What the customer's bank says.")] = "fraudulent",
) -> None:
    """Let a customer's bank want the money of a payment back."""

    async def work(control: SandboxControl) -> str:
        opened = await control.open_dispute(_id_of(await control.holdings(), payment), amount, reason)
        return f"{opened.id}: {opened.amount} minor units of {opened.currency}"

    out.print(_at_the_sandbox(work), highlight=False)


@app.command("decide-dispute")
def decide_dispute(
    dispute: Annotated[str, typer.Argument(help="The sandbox's id of it.")],
    outcome: Annotated[Outcome, typer.Argument(help="Won, the money is yours again.")],
) -> None:
    """Decide a dispute."""
    out.print(_at_the_sandbox(lambda control: control.decide_dispute(dispute, won=outcome is Outcome.WON)).status.value)


@app.command()
def fee(amount: Annotated[int, typer.Argument(min=1, help="Minor units.")], currency: Currency) -> None:
    """Charge a fee that belongs to no payment."""
    line = _at_the_sandbox(lambda control: control.charge_fee(amount, currency))
    out.print(f"{line.id}: {line.amount} minor units of {line.currency}", highlight=False)


@app.command("pay-out")
def pay_out(
    currency: Currency,
    flaw: Annotated[Flaw | None, typer.Option(help="What is wrong with its report.")] = None,
) -> None:
    """Pay out all that waits in a currency."""
    payout = _at_the_sandbox(lambda control: control.pay_out(currency, flaw))
    out.print(f"{payout.id}: {payout.amount} minor units of {payout.currency}", highlight=False)


@app.command()
def webhooks(
    url: Annotated[
        str | None, typer.Argument(help="On this machine: http://127.0.0.1:8080/v1/books/main/providers/sandbox/webhook")
    ] = None,
) -> None:  # fmt: skip
    """Send webhooks to an address, from now on; to nobody, without one."""
    _at_the_sandbox(lambda control: control.send_webhooks_to(url))
    out.print(f"webhooks go to {url or 'nobody'}", highlight=False)


def _often(times: int) -> str:
    return "" if times == 1 else f", {times} times"


def _at_the_sandbox(ask: Callable[[SandboxControl], Awaitable[Done]]) -> Done:
    chosen = settings()

    async def work() -> Done:
        if chosen.provider_url is not None:
            door = Door(chosen.provider_url, chosen.provider_secret or "")
        else:
            door = find_door(chosen.data_directory / "sandbox.jsonl")
        async with SandboxControl(door.url, door.secret) as control:
            return await ask(control)

    return run(work)


def _id_of(held: Holdings, payment: str) -> str:
    """
    Return the sandbox's id of a payment.

    Raises:
        InvalidInput: the sandbox has none such (``invalid_input``).
    """
    for one in held.transactions:
        if payment in {one.id, one.reference}:
            return one.id
    raise InvalidInput(field="PAYMENT", rule="The sandbox has no such payment; `tallystick sandbox list` shows them")

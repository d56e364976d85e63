"""Preview: what a policy would make of an amount, for a customer as things stand, without effect."""

import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection
from tallystick.ledger.model import Asset
from tallystick.repayments.allocate import allocate
from tallystick.repayments.dues import NOW, find_dues, read_outstanding
from tallystick.repayments.find import read_unallocated, require_customer
from tallystick.repayments.model import PolicyInForce, RepaymentPreview
from tallystick.repayments.policies import find_policies, require_policy
from tallystick.repayments.policy import Policy
from tallystick.repayments.receive import require_owned


async def preview(
    connection: Connection,
    book_id: int,
    customer: str,
    asset: Asset,
    amount: int | None,
    policy: Policy | None,
    invoices: Sequence[uuid.UUID] | None,
) -> RepaymentPreview:
    """
    Return what would become of *amount*, or of what lies unallocated if that is None.

    Raises:
        UnknownCustomer: the customer is not known (``repayments.unknown_customer``).
        InvalidInput: the policy decides nothing (``invalid_input``).
        UnknownProduct: it names a product that the book does not know (``repayments.unknown_product``).
        NotRepayable: an invoice is not the customer's, or of another asset (``repayments.not_repayable``).
    """
    customer_id = await require_customer(connection, book_id, customer)
    if policy is None:
        in_force = (await find_policies(connection, book_id, [customer_id], NOW))[customer_id]
    else:
        await require_policy(connection, book_id, policy)
        in_force = PolicyInForce(policy, "request")
    if amount is None:
        amount = await read_unallocated(connection, book_id, customer, asset.code)
    purse = customer_id, asset.asset_id
    await require_owned(connection, book_id, purse, invoices or (), NOW)
    open_ = (await find_dues(connection, book_id, [purse], NOW))[purse]
    outstanding = await read_outstanding(connection, book_id, [one.account_id for one in open_])
    owing = [
        one.owing(outstanding[one.account_id]) for one in open_ if invoices is None or one.invoice_id in set(invoices)
    ]
    placed = allocate(amount, owing, in_force.policy)
    paid = {one.invoice for one in placed}
    return RepaymentPreview(
        customer,
        asset.code,
        amount,
        in_force.policy,
        in_force.said_by,
        placed,
        [one.invoice_id for one in owing if one.outstanding and one.invoice_id not in paid],
        amount - sum(one.amount for one in placed),
    )

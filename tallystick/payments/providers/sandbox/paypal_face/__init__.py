"""
The sandbox as PayPal: its REST API and its webhooks over the sandbox's own register, below ``/paypal``.

It has what `providers/paypal` asks for and no more. Customers approve their orders at once, unless a create is ordered to
need their ``action``; a decline is final, and so is what a failed authentication leaves.
"""

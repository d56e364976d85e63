"""Reading the ledger: balances, histories, statements and the tree of accounts, as of any instant."""

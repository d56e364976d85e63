"""Mass operations: columns of many transfers into batches and messages, and out of the ledger again."""

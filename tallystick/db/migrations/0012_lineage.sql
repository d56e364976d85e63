-- Lineage: from a message to everything that it made, by index.

-- These are made by messages that have a transaction to themselves, at its place 0. Who makes one says nothing of it,
-- so the columns fill themselves; what is older than they are has no message to show.
ALTER TABLE asset ADD transaction_id bigint, ADD message_place integer NOT NULL DEFAULT 0;
ALTER TABLE asset ALTER transaction_id SET DEFAULT transaction_order();
ALTER TABLE api_key ADD transaction_id bigint, ADD message_place integer NOT NULL DEFAULT 0;
ALTER TABLE api_key ALTER transaction_id SET DEFAULT transaction_order();
ALTER TABLE api_key_revocation ADD transaction_id bigint, ADD message_place integer NOT NULL DEFAULT 0;
ALTER TABLE api_key_revocation ALTER transaction_id SET DEFAULT transaction_order();
ALTER TABLE customer ADD message_place integer NOT NULL DEFAULT 0;

CREATE INDEX asset_of_message ON asset (book_id, transaction_id, message_place);
CREATE INDEX api_key_of_message ON api_key (book_id, transaction_id, message_place);
CREATE INDEX api_key_revocation_of_message ON api_key_revocation (book_id, transaction_id, message_place);
CREATE INDEX account_of_message ON account (book_id, transaction_id, message_place);
CREATE INDEX account_closing_of_message ON account_closing (book_id, transaction_id, message_place);
CREATE INDEX account_limit_of_message ON account_limit (book_id, transaction_id, message_place);
CREATE INDEX account_metadata_of_message ON account_metadata (book_id, transaction_id, message_place);
CREATE INDEX customer_of_message ON customer (book_id, transaction_id, message_place);
CREATE INDEX meter_of_message ON meter (book_id, transaction_id, message_place);
CREATE INDEX price_of_message ON price (book_id, transaction_id, message_place);
CREATE INDEX billing_zone_of_message ON billing_zone (book_id, transaction_id, message_place);
CREATE INDEX invoice_of_message ON invoice (book_id, transaction_id, message_place);
CREATE INDEX invoice_issue_of_message ON invoice_issue (book_id, transaction_id, message_place);
CREATE INDEX payment_of_message ON payment (book_id, transaction_id, message_place);
CREATE INDEX payment_step_of_message ON payment_step (book_id, transaction_id, message_place);
CREATE INDEX receipt_of_message ON receipt (book_id, transaction_id, message_place);

-- Usage grows fast, and in the order of transactions: a few bytes for each 4 MB of it say where a transaction's events
-- lie. Storing 5,000 events at once takes 12 % longer with a B-tree, and no longer with this (71,848 events a second
-- without an index, 71,628 with this, 63,741 with a B-tree).
CREATE INDEX usage_event_of_message ON usage_event USING brin (transaction_id)
    WITH (pages_per_range = 512, autosummarize = on);

-- That an event was not billable is kept once for each reason, also where two report it at the same moment: until now both
-- might leave a row, of which the first stays.
ALTER TABLE usage_not_billable DISABLE TRIGGER append_only;
DELETE FROM usage_not_billable AS later USING usage_not_billable AS kept
WHERE kept.book_id = later.book_id AND kept.event_key = later.event_key AND kept.reason = later.reason
  AND (kept.transaction_id, kept.message_place) < (later.transaction_id, later.message_place);
ALTER TABLE usage_not_billable ENABLE TRIGGER append_only;

ALTER TABLE usage_not_billable DROP CONSTRAINT usage_not_billable_pkey;
ALTER TABLE usage_not_billable ADD PRIMARY KEY (book_id, event_key, reason);

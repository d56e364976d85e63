-- What of ours has the amount of a line that is not found: looked up for each line of a page, and never by going through all.
CREATE INDEX refund_of_amount ON refund (book_id, amount, requested_at);
CREATE INDEX dispute_of_amount ON dispute (book_id, amount, opened_at);

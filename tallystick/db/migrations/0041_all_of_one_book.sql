-- Of tables with wide rows the planner supposes so few, while it knows nothing of them, that it takes all rows of a book for
-- one. Then any index that begins with the book seems as good as the one by the key, and the plan that it keeps goes through
-- all of the book. That all rows may be of one book is said here, until the table is analysed for the first time.
SELECT pg_restore_attribute_stats('schemaname', 'tallystick', 'relname', wide.name, 'attname', 'book_id', 'inherited', false,
                                  'null_frac', 0::real, 'avg_width', 4, 'n_distinct', 1::real)
FROM (VALUES ('invoice_request'), ('payout_line'), ('bank_entry')) AS wide (name)
WHERE NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = 'tallystick' AND tablename = wide.name AND attname = 'book_id');

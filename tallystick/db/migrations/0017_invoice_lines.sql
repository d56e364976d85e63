-- Lines that correct lines of earlier invoices, and the taxes of an invoice.

ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_amount_check;
ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_events_check;
ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_quantity_check;
ALTER TABLE invoice_line ADD COLUMN adjusts_invoice uuid;
ALTER TABLE invoice_line ADD COLUMN adjusts_position integer;
ALTER TABLE invoice_line ADD CONSTRAINT invoice_line_adjusts_both
    CHECK ((adjusts_invoice IS NULL) = (adjusts_position IS NULL));
ALTER TABLE invoice_line ADD CONSTRAINT invoice_line_only_adjustments_take_back
    CHECK (adjusts_invoice IS NOT NULL OR (amount >= 0 AND events >= 0 AND quantity >= 0));
CREATE INDEX invoice_line_adjusting ON invoice_line (book_id, adjusts_invoice, adjusts_position)
    WHERE adjusts_invoice IS NOT NULL;
COMMENT ON COLUMN invoice_line.adjusts_invoice IS 'the invoice whose line is corrected: this line is the difference to it';

CREATE TABLE invoice_tax (
    book_id      integer NOT NULL,
    invoice_id   uuid NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    jurisdiction text NOT NULL,
    category     text NOT NULL,
    name         text NOT NULL,
    rate         numeric NOT NULL CHECK (rate >= 0),
    inclusive    boolean NOT NULL,
    base         bigint NOT NULL,
    amount       bigint NOT NULL,
    PRIMARY KEY (book_id, invoice_id, position),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_append_only('invoice_tax');
COMMENT ON COLUMN invoice_tax.rate IS 'of the base: 0.19';

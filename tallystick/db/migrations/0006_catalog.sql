-- The catalog: what is metered, and what it costs from when.

CREATE TABLE meter (
    book_id        integer NOT NULL REFERENCES book,
    code           text NOT NULL CHECK (code ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    event_type     text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 255),
    aggregation    text NOT NULL CHECK (aggregation IN ('count', 'sum')),
    quantity       text CHECK ((aggregation = 'sum') = (quantity IS NOT NULL)),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, code)
);
SELECT make_append_only('meter');

CREATE TABLE price (
    book_id        integer NOT NULL REFERENCES book,
    product        text NOT NULL CHECK (product ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    charge         text NOT NULL CHECK (charge ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    effective_at   timestamptz NOT NULL,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    meter          text,
    asset_id       integer NOT NULL,
    model          jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, product, charge, effective_at),
    FOREIGN KEY (book_id, meter) REFERENCES meter,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('price');
COMMENT ON COLUMN price.meter IS 'NULL: a flat charge, due whatever was used';
COMMENT ON COLUMN price.product IS 'what is invoiced together: an invoice of a product asks for the charges of that product';
COMMENT ON COLUMN price.effective_at IS 'in force from here until the next version of the same charge';

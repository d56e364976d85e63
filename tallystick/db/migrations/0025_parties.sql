-- Who sells and who buys, as documents print them.

CREATE TABLE party (
    book_id        integer NOT NULL REFERENCES book,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    customer_id    bigint,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    address        text[] NOT NULL CHECK (cardinality(address) BETWEEN 1 AND 3),
    city           text NOT NULL CHECK (length(city) BETWEEN 1 AND 255),
    postcode       text CHECK (length(postcode) BETWEEN 1 AND 32),
    country        text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    vat_id         text CHECK (length(vat_id) BETWEEN 2 AND 32),
    registration   text CHECK (length(registration) BETWEEN 1 AND 64),
    email          text CHECK (length(email) BETWEEN 3 AND 254),
    phone          text CHECK (length(phone) BETWEEN 3 AND 32),
    language       text NOT NULL CHECK (language ~ '^[a-z]{2}$'),
    bank           jsonb,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer
);
SELECT make_append_only('party');
CREATE INDEX party_of_customer ON party (book_id, customer_id, transaction_id, message_place);
COMMENT ON TABLE party IS 'one version; it holds until the next one of the same customer';
COMMENT ON COLUMN party.customer_id IS 'NULL: the book itself, who sells';
COMMENT ON COLUMN party.registration IS 'where the party is registered, and under which number';

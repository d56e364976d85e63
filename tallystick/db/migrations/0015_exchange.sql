-- Exchange between assets: the rate that two legs were made by, kept as it was said.

CREATE TABLE exchange (
    book_id        integer NOT NULL,
    exchange_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    sold_id        uuid NOT NULL,
    bought_id      uuid NOT NULL,
    rounding_id    uuid,
    numerator      bigint NOT NULL CHECK (numerator > 0),
    denominator    bigint NOT NULL CHECK (denominator > 0),
    sold           bigint NOT NULL CHECK (sold > 0),
    bought         bigint NOT NULL CHECK (bought >= 0),
    rounding       smallint NOT NULL CHECK (rounding IN (0, 1)),
    exchanged_at   timestamptz NOT NULL,
    CONSTRAINT exchange_once PRIMARY KEY (book_id, exchange_id),
    CHECK ((rounding = 0) = (rounding_id IS NULL)),
    -- The whole of it is exact: what was bought, and the unit that rounding took, is the least that covers the rate.
    CHECK ((bought + rounding)::numeric * denominator >= sold::numeric * numerator),
    CHECK ((bought + rounding - 1)::numeric * denominator < sold::numeric * numerator)
);
SELECT make_append_only('exchange');
COMMENT ON COLUMN exchange.numerator IS 'minor units bought for each denominator of minor units sold';

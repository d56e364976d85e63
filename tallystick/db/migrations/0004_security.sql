-- API keys: the hash of each, never the key.

CREATE TABLE api_key (
    book_id        integer NOT NULL REFERENCES book,
    key_id         uuid NOT NULL,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    hash           bytea NOT NULL CHECK (length(hash) = 32),
    scopes         text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz CHECK (expires_at > created_at),
    PRIMARY KEY (book_id, key_id),
    CONSTRAINT api_key_once UNIQUE (book_id, hash)
);
SELECT make_append_only('api_key');
CREATE INDEX api_key_by_hash ON api_key (hash);

CREATE TABLE api_key_revocation (
    book_id    integer NOT NULL,
    key_id     uuid NOT NULL,
    revoked_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, key_id),
    FOREIGN KEY (book_id, key_id) REFERENCES api_key
);
SELECT make_append_only('api_key_revocation');

CREATE TABLE refused_access (
    book_id     integer REFERENCES book,
    principal   text NOT NULL,
    operation   text NOT NULL,
    code        text NOT NULL,
    refused_at  timestamptz NOT NULL
);
SELECT make_append_only('refused_access');
COMMENT ON TABLE refused_access IS 'who was refused what; kept by the minute, not by the request';

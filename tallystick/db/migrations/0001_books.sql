-- Books, and the order in which transactions take effect.

CREATE FUNCTION refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'facts are only appended: % on % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- Makes a table one of facts: rows go in and stay as they are. Guarded by trigger here and by grant below.
CREATE FUNCTION make_append_only(fact regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION tallystick.refuse_rewrite()', fact);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO tallystick_app', fact);
END $$;

-- What may change in place: queues, counters, gates. Never a fact.
CREATE FUNCTION make_working_table(working regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO tallystick_app', working);
END $$;

DO $$ BEGIN
    CREATE ROLE tallystick_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT tallystick_app TO CURRENT_USER;
GRANT USAGE ON SCHEMA tallystick TO tallystick_app;
GRANT SELECT ON migration TO tallystick_app;

CREATE TABLE book (
    book_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    opened_at timestamptz NOT NULL
);
SELECT make_append_only('book');

-- Transactions take effect in the order of their ids. The base is 0 until a dump is restored into another
-- cluster, whose ids start again: then it is raised above every id the dump holds.
CREATE TABLE transaction_base (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    base     bigint NOT NULL CHECK (base >= 0)
);
INSERT INTO transaction_base (base) VALUES (0);
GRANT SELECT ON transaction_base TO tallystick_app;

-- The place of this transaction in that order.
CREATE FUNCTION transaction_order() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT pg_current_xact_id()::text::bigint + base FROM tallystick.transaction_base $$;

-- Every transaction ordered below this has ended; none can appear there any more.
CREATE FUNCTION settled_horizon() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + base FROM tallystick.transaction_base $$;

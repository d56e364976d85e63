-- Attachments: what of a message is too large to be JSON, kept with it.

-- The message's body names the content by its SHA-256, so that the leaves of the log are bound to it as well.
CREATE TABLE message_attachment (
    book_id        integer NOT NULL,
    transaction_id bigint NOT NULL,
    place          integer NOT NULL,
    size           integer NOT NULL CHECK (size > 0),
    content        bytea NOT NULL,
    PRIMARY KEY (book_id, transaction_id, place),
    CONSTRAINT attachment_of_message FOREIGN KEY (book_id, transaction_id, place) REFERENCES message
        DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE message_attachment ALTER content SET STORAGE EXTERNAL; -- it is compressed already
SELECT make_append_only('message_attachment');
COMMENT ON COLUMN message_attachment.size IS 'bytes of the content before it was compressed';
COMMENT ON COLUMN message_attachment.content IS 'one frame of Zstandard (RFC 8878)';

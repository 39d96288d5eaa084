-- What other services insert to reach a user, now or when the user next connects.

CREATE TABLE agent.notifications (
    notification_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    session_id      uuid,
    kind            text NOT NULL DEFAULT 'message' CHECK (kind ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    title           text CHECK (octet_length(title) <= 1024),
    content         text NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 32768),
    data            jsonb CHECK (octet_length(data::text) <= 16384),
    priority        text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    dedupe_key      text CHECK (octet_length(dedupe_key) BETWEEN 1 AND 255),
    collapse_key    text CHECK (octet_length(collapse_key) BETWEEN 1 AND 255),
    deliver_after   timestamptz,
    expires_at      timestamptz,
    in_context      boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    acknowledged_at timestamptz,
    inserted_by     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT notifications_in_context_needs_session CHECK (NOT in_context OR session_id IS NOT NULL),
    CONSTRAINT notifications_dedupe UNIQUE (user_id, dedupe_key)
);
-- What a user has not acknowledged yet: read at each connect.
CREATE INDEX notifications_pending ON agent.notifications (user_id, created_at) WHERE acknowledged_at IS NULL;
-- What is new since a node last looked: by transaction, so that one which commits late is not passed over.
CREATE INDEX notifications_inserted_by ON agent.notifications (inserted_by) WHERE acknowledged_at IS NULL;
-- What becomes due.
CREATE INDEX notifications_deliver_after ON agent.notifications (deliver_after)
    WHERE acknowledged_at IS NULL AND deliver_after IS NOT NULL;

COMMENT ON TABLE agent.notifications IS 'Insert a row, reach the user: INSERT INTO agent.notifications (user_id, content) VALUES (…).';
COMMENT ON COLUMN agent.notifications.notification_id IS 'By which clients drop repeats and acknowledge.';
COMMENT ON COLUMN agent.notifications.user_id IS 'Whom to reach: the subject of the user''s token.';
COMMENT ON COLUMN agent.notifications.session_id IS 'The session that it is about, if any.';
COMMENT ON COLUMN agent.notifications.kind IS 'Your word for what it is: 1 to 64 of A-Z a-z 0-9 _ . : -';
COMMENT ON COLUMN agent.notifications.title IS 'A heading, at most 1 KiB.';
COMMENT ON COLUMN agent.notifications.content IS 'The text, 1 byte to 32 KiB.';
COMMENT ON COLUMN agent.notifications.data IS 'Your own data, at most 16 KiB.';
COMMENT ON COLUMN agent.notifications.priority IS 'high, normal or low: the order of delivery at a connect.';
COMMENT ON COLUMN agent.notifications.dedupe_key IS 'Unique a user: use ON CONFLICT (user_id, dedupe_key) DO NOTHING.';
COMMENT ON COLUMN agent.notifications.collapse_key IS 'Of several undelivered rows with the same key the newest counts.';
COMMENT ON COLUMN agent.notifications.deliver_after IS 'Not before this moment.';
COMMENT ON COLUMN agent.notifications.expires_at IS 'Not after this moment.';
COMMENT ON COLUMN agent.notifications.in_context IS 'Also becomes a message of that session, as data for the model.';
COMMENT ON COLUMN agent.notifications.created_at IS 'When it was inserted.';
COMMENT ON COLUMN agent.notifications.acknowledged_at IS 'When the user''s device acknowledged it.';
COMMENT ON COLUMN agent.notifications.inserted_by IS 'The inserting transaction: how nodes find what is new. Leave it alone.';

-- A constant payload: however many rows a transaction inserts, it makes one notification.
CREATE FUNCTION agent.notifications_hint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('agent_notifications', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agent.notifications_hint IS 'Tells the nodes to look at agent.notifications.';
CREATE TRIGGER notifications_hint AFTER INSERT ON agent.notifications
    FOR EACH STATEMENT EXECUTE FUNCTION agent.notifications_hint();

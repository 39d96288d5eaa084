-- What other services insert to reach a user, now or when the user next connects.

CREATE TABLE agent.notifications (
    notification_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Whatever a client could not be told is refused here: one row that a server cannot read would stop it for everybody.
    user_id         text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255)
                                              CHECK (user_id !~ '[\u0001-\u001f\u007f-\u009f]'),
    session_id      uuid,
    kind            text NOT NULL DEFAULT 'message' CHECK (kind ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    title           text CHECK (octet_length(title) <= 1024),
    content         text NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 32768),
    data            jsonb CHECK (octet_length(data::text) <= 16384)
                          CONSTRAINT notifications_data_depth CHECK (NOT jsonb_path_exists(data, '$.**{33}'))
                          CONSTRAINT notifications_data_numbers
                              CHECK (NOT jsonb_path_exists(data, '$.** ? (@ > 1e308 || @ < -1e308)')),
    priority        text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    dedupe_key      text CHECK (octet_length(dedupe_key) BETWEEN 1 AND 255),
    collapse_key    text CHECK (octet_length(collapse_key) BETWEEN 1 AND 255),
    deliver_after   timestamptz,
    expires_at      timestamptz,
    in_context      boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
                                CHECK (created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    acknowledged_at timestamptz,
    message_id      uuid,
    inserted_by     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    acknowledged_by xid8,
    CONSTRAINT notifications_in_context_needs_session CHECK (NOT in_context OR session_id IS NOT NULL),
    CONSTRAINT notifications_dedupe UNIQUE (user_id, dedupe_key)
);
-- What a user has not acknowledged yet: read at each connect.
CREATE INDEX notifications_pending ON agent.notifications (user_id, created_at) WHERE acknowledged_at IS NULL;
-- What is new since a node last looked: by transaction, so that one which commits late is not passed over.
CREATE INDEX notifications_inserted_by ON agent.notifications (inserted_by) WHERE acknowledged_at IS NULL;
-- What was acknowledged since a node last looked, likewise: other devices are told.
CREATE INDEX notifications_acknowledged_by ON agent.notifications (acknowledged_by) WHERE acknowledged_by IS NOT NULL;
-- What replaces what.
CREATE INDEX notifications_collapse ON agent.notifications (user_id, collapse_key)
    WHERE collapse_key IS NOT NULL AND acknowledged_at IS NULL;
-- What is still to be put into its conversation.
CREATE INDEX notifications_for_context ON agent.notifications (created_at) WHERE in_context AND message_id IS NULL;
-- What is old enough to be removed.
CREATE INDEX notifications_created_at ON agent.notifications USING brin (created_at) WITH (autosummarize = on);
-- What becomes due.
CREATE INDEX notifications_deliver_after ON agent.notifications (deliver_after)
    WHERE acknowledged_at IS NULL AND deliver_after IS NOT NULL;

COMMENT ON TABLE agent.notifications IS 'Insert a row, reach the user: INSERT INTO agent.notifications (user_id, content) VALUES (…).';
COMMENT ON COLUMN agent.notifications.notification_id IS 'By which clients drop repeats and acknowledge.';
COMMENT ON COLUMN agent.notifications.user_id IS 'Whom to reach: the subject of the user''s token; no control characters.';
COMMENT ON COLUMN agent.notifications.session_id IS 'The session that it is about, if any.';
COMMENT ON COLUMN agent.notifications.kind IS 'Your word for what it is: 1 to 64 of A-Z a-z 0-9 _ . : -';
COMMENT ON COLUMN agent.notifications.title IS 'A heading, at most 1 KiB.';
COMMENT ON COLUMN agent.notifications.content IS 'The text, 1 byte to 32 KiB.';
COMMENT ON COLUMN agent.notifications.data IS 'Your own data, at most 16 KiB, 32 levels deep, its numbers no larger than a double.';
COMMENT ON COLUMN agent.notifications.priority IS 'high, normal or low: the order of delivery at a connect.';
COMMENT ON COLUMN agent.notifications.dedupe_key IS 'Unique a user: use ON CONFLICT DO NOTHING, or agent.notify.';
COMMENT ON COLUMN agent.notifications.collapse_key IS 'Of several undelivered rows with the same key the newest counts.';
COMMENT ON COLUMN agent.notifications.deliver_after IS 'Not before this moment.';
COMMENT ON COLUMN agent.notifications.expires_at IS 'Not after this moment.';
COMMENT ON COLUMN agent.notifications.in_context IS 'Also becomes a message of that session, as data for the model.';
COMMENT ON COLUMN agent.notifications.created_at IS 'When it was inserted, by the clock and not by the transaction: rows of one statement keep their order.';
COMMENT ON COLUMN agent.notifications.acknowledged_at IS 'When the user''s device acknowledged it.';
COMMENT ON COLUMN agent.notifications.message_id IS 'Of in_context: the message that it became, once the server has put it there.';
COMMENT ON COLUMN agent.notifications.acknowledged_by IS 'The acknowledging transaction: how nodes find what to clear. Leave it alone.';
COMMENT ON COLUMN agent.notifications.inserted_by IS 'The inserting transaction: how nodes find what is new. Leave it alone.';

-- Tells the nodes to look, without slowing the writers down: a NOTIFY takes one lock of the whole instance and holds it
-- through its commit's flush, so of the transactions that insert at the same time only one sends it, the one that gets the
-- advisory lock. The rows of the others are found by the look that its hint causes, or by the poll within 100 ms. A constant
-- payload, so that a transaction of many statements makes one notification. The election stands in the trigger's WHEN,
-- so that those who lose it call no function.
CREATE FUNCTION agent.notifications_hint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('agent_notifications', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agent.notifications_hint IS 'Tells the nodes to look at agent.notifications.';
-- The key is any number that nobody else locks: 'agentws' in ASCII.
CREATE TRIGGER notifications_hint AFTER INSERT ON agent.notifications
    FOR EACH STATEMENT WHEN (pg_try_advisory_xact_lock(27416758083417971))
    EXECUTE FUNCTION agent.notifications_hint();

-- Marks a user's notifications as seen: those named, or all, and of collapsing ones what the named one replaced. An older
-- row that a newer one hides must not come back when the newer is gone.
CREATE FUNCTION agent.acknowledge(p_user text, p_ids uuid[])
RETURNS SETOF uuid
LANGUAGE sql VOLATILE AS $$
    WITH named AS MATERIALIZED (
        SELECT n.notification_id, n.collapse_key, n.created_at
        FROM agent.notifications AS n
        WHERE n.user_id = p_user AND n.acknowledged_at IS NULL
          -- All is all that could be seen: a reminder for tomorrow is not acknowledged by who clears his list today.
          AND (n.notification_id = ANY (p_ids)
               OR p_ids IS NULL AND (n.deliver_after IS NULL OR n.deliver_after <= clock_timestamp()))
    ),
    seen AS (
        SELECT k.notification_id FROM named AS k
        UNION
        SELECT n.notification_id
        FROM named AS k
        JOIN agent.notifications AS n
          ON n.user_id = p_user AND n.collapse_key = k.collapse_key AND n.created_at <= k.created_at
        WHERE n.acknowledged_at IS NULL
    ),
    locked AS MATERIALIZED (
        -- In one order, so that two devices that acknowledge the same do not wait for each other.
        SELECT n.notification_id
        FROM agent.notifications AS n
        JOIN seen AS s ON s.notification_id = n.notification_id
        WHERE n.acknowledged_at IS NULL
        ORDER BY n.notification_id
        FOR UPDATE OF n
    )
    UPDATE agent.notifications AS n
    SET acknowledged_at = clock_timestamp(), acknowledged_by = pg_current_xact_id()
    FROM locked AS l
    WHERE n.notification_id = l.notification_id
    RETURNING n.notification_id
$$;
COMMENT ON FUNCTION agent.acknowledge IS 'Marks notifications of a user as seen; null for all that are due.';

-- Puts notifications that ask for it into their conversations: each becomes a message with a seq, in the order of
-- insertion. Sessions are locked without waiting, so this cannot deadlock with the append; a session that is busy is left
-- for the next look. A row whose session does not exist (any more) is marked, so that it is not looked at for ever.
CREATE FUNCTION agent.put_into_context(p_limit integer)
RETURNS TABLE (user_id text, session_id uuid, watchers integer[])
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    waiting record;
    session record;
    message uuid;
BEGIN
    FOR waiting IN
        SELECT n.*
        FROM agent.notifications AS n
        WHERE n.in_context AND n.message_id IS NULL
          AND (n.deliver_after IS NULL OR n.deliver_after <= clock_timestamp())
        ORDER BY n.created_at, n.notification_id
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    LOOP
        IF NOT EXISTS (SELECT 1 FROM agent.sessions AS s
                       WHERE s.user_id = waiting.user_id AND s.session_id = waiting.session_id)
           OR waiting.expires_at <= clock_timestamp() THEN
            UPDATE agent.notifications AS n SET message_id = n.notification_id
            WHERE n.notification_id = waiting.notification_id;
            CONTINUE;
        END IF;
        UPDATE agent.sessions AS s
        SET last_seq = s.last_seq + 1, stored_bytes = s.stored_bytes + octet_length(waiting.content),
            last_activity_at = date_trunc('milliseconds', clock_timestamp())
        WHERE (s.user_id, s.session_id) IN (
            SELECT l.user_id, l.session_id FROM agent.sessions AS l
            WHERE l.user_id = waiting.user_id AND l.session_id = waiting.session_id
            FOR UPDATE SKIP LOCKED)
        RETURNING s.last_seq, s.watchers INTO session;
        CONTINUE WHEN NOT FOUND;
        message := gen_random_uuid();
        INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, notification_id, metadata,
                                    created_at)
        VALUES (waiting.user_id, waiting.session_id, session.last_seq, message, 'notification', waiting.content,
                waiting.notification_id,
                -- Nulls inside of data are the writer's own.
                jsonb_strip_nulls(jsonb_build_object('kind', waiting.kind, 'title', waiting.title,
                                                     'priority', waiting.priority))
                || CASE WHEN waiting.data IS NULL THEN '{}' ELSE jsonb_build_object('data', waiting.data) END,
                date_trunc('milliseconds', clock_timestamp()));
        UPDATE agent.notifications AS n SET message_id = message
        WHERE n.notification_id = waiting.notification_id;
        user_id := waiting.user_id;
        session_id := waiting.session_id;
        watchers := session.watchers;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agent.put_into_context IS 'Makes messages of notifications that ask for it; called by the server only.';

-- The same as an insert, for a role that may do nothing else. Returns the row''s id; null when its dedupe_key was there.
CREATE FUNCTION agent.notify(
    user_id       text,
    content       text,
    session_id    uuid DEFAULT NULL,
    kind          text DEFAULT 'message',
    title         text DEFAULT NULL,
    data          jsonb DEFAULT NULL,
    priority      text DEFAULT 'normal',
    dedupe_key    text DEFAULT NULL,
    collapse_key  text DEFAULT NULL,
    deliver_after timestamptz DEFAULT NULL,
    expires_at    timestamptz DEFAULT NULL,
    in_context    boolean DEFAULT false
) RETURNS uuid
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO agent.notifications (user_id, content, session_id, kind, title, data, priority, dedupe_key, collapse_key,
                                     deliver_after, expires_at, in_context)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (user_id, dedupe_key) DO NOTHING
    RETURNING notification_id
$$;
COMMENT ON FUNCTION agent.notify IS 'Notifies a user: agent.notify(user_id => ''u_42'', content => ''Build finished'').';
REVOKE EXECUTE ON FUNCTION agent.notify FROM PUBLIC;

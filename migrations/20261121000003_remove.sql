-- Removing: a session, what is older than the operator keeps, everything of a user. Each takes the sessions' locks first, so
-- that no append can slip a row in behind, and keeps the search index from being written meanwhile.

-- Removes a session and every row that belongs to it, but not its costs (agent.usage) nor what services sent
-- (agent.notifications). No row when there is no such session.
CREATE FUNCTION agent.delete_session(p_user text, p_session uuid)
RETURNS TABLE (watchers integer[], running_on integer)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    SELECT s.watchers INTO watchers
    FROM agent.sessions AS s WHERE s.user_id = p_user AND s.session_id = p_session FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM 1 FROM agent.search_progress FOR SHARE;
    SELECT r.node_id INTO running_on
    FROM agent.runs AS r WHERE r.user_id = p_user AND r.session_id = p_session AND r.state = 'running';
    DELETE FROM agent.runs WHERE user_id = p_user AND session_id = p_session;
    DELETE FROM agent.messages WHERE user_id = p_user AND session_id = p_session;
    DELETE FROM agent.chunks WHERE user_id = p_user AND session_id = p_session;
    DELETE FROM agent.feedback WHERE user_id = p_user AND session_id = p_session;
    DELETE FROM agent.search_index WHERE user_id = p_user AND session_id = p_session;
    DELETE FROM agent.sessions WHERE user_id = p_user AND session_id = p_session;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agent.delete_session IS 'Removes a session; called by the server only.';

-- Removes messages created before a moment, with their runs and feedback: from the front of each session, so that what is
-- left has no hole, and not beyond the question of a run that is not over. About p_limit messages a call; sessions that
-- somebody writes to at this moment are left for the next. Returns who has to look again.
CREATE FUNCTION agent.prune_messages(p_before timestamptz, p_limit integer)
RETURNS TABLE (session_id uuid, watchers integer[], removed bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    session record;
    upto    bigint;
    bytes   bigint;
BEGIN
    PERFORM 1 FROM agent.search_progress FOR SHARE;
    FOR session IN
        SELECT s.user_id, s.session_id, s.watchers
        FROM agent.sessions AS s
        WHERE (s.user_id, s.session_id) IN (
            SELECT m.user_id, m.session_id
            FROM (SELECT m.user_id, m.session_id FROM agent.messages AS m
                  WHERE m.created_at < p_before LIMIT p_limit) AS m)
        FOR UPDATE SKIP LOCKED
    LOOP
        -- The last of the front that may go: the messages before the first that is young enough.
        SELECT max(front.seq) INTO upto
        FROM (
            SELECT m.seq, bool_and(m.created_at < p_before) OVER (ORDER BY m.seq) AS old
            FROM agent.messages AS m
            WHERE m.user_id = session.user_id AND m.session_id = session.session_id
            ORDER BY m.seq
            LIMIT p_limit
        ) AS front
        WHERE front.old AND front.seq < coalesce((
            SELECT min(r.query_seq) FROM agent.runs AS r
            WHERE r.user_id = session.user_id AND r.session_id = session.session_id AND r.state IN ('queued', 'running')),
            9223372036854775807);
        CONTINUE WHEN upto IS NULL;
        WITH gone AS (
            DELETE FROM agent.messages AS m
            WHERE m.user_id = session.user_id AND m.session_id = session.session_id AND m.seq <= upto
            RETURNING m.message_id, m.run_id, m.role, octet_length(m.content) AS bytes
        ),
        gone_runs AS (
            DELETE FROM agent.runs AS r
            USING gone AS g
            WHERE g.role = 'assistant'
              AND r.user_id = session.user_id AND r.session_id = session.session_id AND r.run_id = g.run_id
        ),
        gone_feedback AS (
            DELETE FROM agent.feedback AS f
            USING gone AS g
            WHERE f.user_id = session.user_id AND f.session_id = session.session_id AND f.message_id = g.message_id
        )
        SELECT count(*), coalesce(sum(g.bytes), 0) INTO removed, bytes FROM gone AS g;
        DELETE FROM agent.search_index AS i
        WHERE i.user_id = session.user_id AND i.session_id = session.session_id AND i.seq <= upto;
        UPDATE agent.sessions AS s SET first_seq = upto + 1, stored_bytes = greatest(s.stored_bytes - bytes, 0)
        WHERE s.user_id = session.user_id AND s.session_id = session.session_id;
        session_id := session.session_id;
        watchers := session.watchers;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agent.prune_messages IS 'Removes old messages, some at a time; called by the server only.';

-- Removes sessions that hold no message any more and to which nothing was written since a moment. Returns who has to look.
CREATE FUNCTION agent.prune_sessions(p_before timestamptz, p_limit integer)
RETURNS TABLE (session_id uuid, watchers integer[])
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    session record;
BEGIN
    FOR session IN
        SELECT s.user_id, s.session_id, s.watchers
        FROM agent.sessions AS s
        WHERE s.last_activity_at < p_before AND s.active_run_id IS NULL
          AND NOT EXISTS (SELECT 1 FROM agent.messages AS m
                          WHERE m.user_id = s.user_id AND m.session_id = s.session_id)
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM 1 FROM agent.delete_session(session.user_id, session.session_id);
        session_id := session.session_id;
        watchers := session.watchers;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agent.prune_sessions IS 'Removes old, empty sessions, some at a time; called by the server only.';

-- Removes notifications that were acknowledged or expired before a moment, and any that were created before another one
-- (null: none). With them their dedupe_key is free again. Returns how many.
CREATE FUNCTION agent.prune_notifications(p_done_before timestamptz, p_created_before timestamptz, p_limit integer)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH gone AS (
        DELETE FROM agent.notifications AS n
        WHERE n.notification_id IN (
            SELECT o.notification_id
            FROM agent.notifications AS o
            WHERE (o.created_at < p_done_before AND (o.acknowledged_at < p_done_before OR o.expires_at < p_done_before))
               OR o.created_at < p_created_before
            LIMIT p_limit
            FOR UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION agent.prune_notifications IS 'Removes old notifications, some at a time; called by the server only.';

-- Removes every trace of a user: the rows of every table of this schema that has a user_id, now and in later versions. The
-- receipt says how many of each. The user's sockets are closed and running answers stopped by the nodes, which are told.
CREATE FUNCTION agent.erase_user(user_id text)
RETURNS TABLE (table_name text, rows_removed bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
BEGIN
    PERFORM 1 FROM agent.sessions AS s WHERE s.user_id = $1 ORDER BY s.session_id FOR UPDATE;
    PERFORM 1 FROM agent.search_progress FOR SHARE;
    PERFORM pg_notify('agent_node_' || watcher, 's' || s.session_id)
    FROM agent.sessions AS s CROSS JOIN LATERAL unnest(s.watchers) AS watcher
    WHERE s.user_id = $1;
    PERFORM pg_notify('agent_node_' || r.node_id, 'c' || r.session_id)
    FROM agent.runs AS r
    WHERE r.user_id = $1 AND r.state = 'running';
    FOR table_name IN
        SELECT c.relname
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'agent'
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname
    LOOP
        EXECUTE format('DELETE FROM agent.%I WHERE user_id = $1', table_name) USING $1;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agent.erase_user IS 'Removes every trace of a user and says how many rows of which table: SELECT * FROM agent.erase_user(''u_42'').';

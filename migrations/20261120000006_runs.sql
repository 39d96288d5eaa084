-- A run's life beside the append: claimed from the queue, taken over from a dead process, released to be tried again,
-- taken out of the queue. Each is one short transaction that takes the session's lock first.

-- Starts waiting runs on a process that has room, fair between users: those with the fewest running answers first, then
-- the longest wait. Locks sessions without waiting, so it cannot deadlock with the append, which waits in key order.
CREATE FUNCTION agent.claim_runs(p_node integer, p_limit integer, p_max_runs integer)
RETURNS TABLE (
    user_id text, session_id uuid, run_id uuid, query_message_id uuid, query_seq bigint, answer_message_id uuid,
    requested_model text, fence bigint, attempt integer, watchers integer[]
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    candidate record;
    session   record;
    claimed   integer := 0;
BEGIN
    -- One claimer at a time, so that a user's limit holds across processes.
    PERFORM pg_advisory_xact_lock(hashtextextended('agent.claim_runs', 0));
    FOR candidate IN
        WITH heads AS (
            SELECT DISTINCT ON (r.user_id, r.session_id) r.user_id, r.session_id, r.queued_at
            FROM agent.runs AS r
            WHERE r.state = 'queued'
            ORDER BY r.user_id, r.session_id, r.priority, r.queue_order, r.run_id
        ),
        ready AS (
            SELECT h.user_id, h.session_id, h.queued_at,
                   running.n + row_number() OVER (PARTITION BY h.user_id ORDER BY h.queued_at) AS place
            FROM heads AS h
            JOIN agent.sessions AS s ON s.user_id = h.user_id AND s.session_id = h.session_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS n FROM agent.runs AS r WHERE r.user_id = h.user_id AND r.state = 'running'
            ) AS running
            WHERE s.active_run_id IS NULL
        )
        SELECT r.user_id, r.session_id
        FROM ready AS r
        WHERE p_max_runs = 0 OR r.place <= p_max_runs
        ORDER BY r.place, r.queued_at
        LIMIT p_limit
    LOOP
        UPDATE agent.sessions AS s
        SET fence = s.fence + 1
        WHERE (s.user_id, s.session_id) IN (
            SELECT l.user_id, l.session_id FROM agent.sessions AS l
            WHERE l.user_id = candidate.user_id AND l.session_id = candidate.session_id AND l.active_run_id IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING s.fence, s.watchers INTO session;
        CONTINUE WHEN NOT FOUND;
        RETURN QUERY
        UPDATE agent.runs AS r
        SET state = 'running', attempt = r.attempt + 1, fence = session.fence, node_id = p_node,
            started_at = date_trunc('milliseconds', clock_timestamp())
        WHERE r.user_id = candidate.user_id AND r.session_id = candidate.session_id
          AND r.run_id = (
              SELECT w.run_id FROM agent.runs AS w
              WHERE w.user_id = candidate.user_id AND w.session_id = candidate.session_id AND w.state = 'queued'
              ORDER BY w.priority, w.queue_order, w.run_id
              LIMIT 1)
        RETURNING r.user_id::text, r.session_id, r.run_id, r.query_message_id, r.query_seq, r.answer_message_id,
                  r.requested_model, r.fence, r.attempt, session.watchers;
        UPDATE agent.sessions AS s
        SET active_run_id = r.run_id
        FROM agent.runs AS r
        WHERE s.user_id = candidate.user_id AND s.session_id = candidate.session_id
          AND r.user_id = s.user_id AND r.session_id = s.session_id AND r.state = 'running';
        claimed := claimed + 1;
        EXIT WHEN claimed >= p_limit;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agent.claim_runs IS 'Starts waiting runs on a process; called by the server only.';

-- Makes a dead process's run this process's, under a new fence: from here on the dead one's writes are refused.
CREATE FUNCTION agent.take_over_run(p_node integer, p_user text, p_session uuid, p_run uuid, p_fence bigint)
RETURNS TABLE (fence bigint, attempt integer, cancel_requested boolean, watchers integer[])
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    session record;
BEGIN
    PERFORM 1 FROM agent.sessions AS s WHERE s.user_id = p_user AND s.session_id = p_session FOR UPDATE;
    UPDATE agent.sessions AS s
    SET fence = s.fence + 1
    FROM agent.runs AS r
    WHERE s.user_id = p_user AND s.session_id = p_session AND s.active_run_id = p_run
      AND r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run
      AND r.state = 'running' AND r.fence = p_fence
    RETURNING s.fence, s.watchers INTO session;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    UPDATE agent.runs AS r
    SET fence = session.fence, node_id = p_node
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run
    RETURNING r.fence, r.attempt, r.cancel_requested_at IS NOT NULL, session.watchers;
END
$$;
COMMENT ON FUNCTION agent.take_over_run IS 'Takes a run from a dead process; called by the server only.';

-- Puts a run back in front of its queue: it had shown nothing, so another process may try.
CREATE FUNCTION agent.release_run(p_user text, p_session uuid, p_run uuid, p_fence bigint)
RETURNS integer[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    told integer[];
BEGIN
    PERFORM 1 FROM agent.sessions AS s WHERE s.user_id = p_user AND s.session_id = p_session FOR UPDATE;
    UPDATE agent.runs AS r
    SET state = 'queued', node_id = NULL, fence = 0, priority = -1, queue_order = r.query_seq, started_at = NULL
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run
      AND r.state = 'running' AND r.fence = p_fence;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM agent.note_lost_try(p_user, p_session, p_run);
    UPDATE agent.runs AS r
    SET provider_generation_id = NULL
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run;
    UPDATE agent.sessions AS s
    SET active_run_id = NULL, fence = s.fence + 1
    WHERE s.user_id = p_user AND s.session_id = p_session
    RETURNING s.watchers INTO told;
    RETURN told;
END
$$;
COMMENT ON FUNCTION agent.release_run IS 'Puts a run back into its queue; called by the server only.';

-- Takes a waiting run out of its queue. Every run ends in one message, so this one ends in an empty, cancelled one.
CREATE FUNCTION agent.unqueue_run(p_user text, p_session uuid, p_run uuid)
RETURNS integer[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    session record;
    run     record;
    moment  timestamptz := date_trunc('milliseconds', clock_timestamp());
BEGIN
    PERFORM 1 FROM agent.sessions AS s WHERE s.user_id = p_user AND s.session_id = p_session FOR UPDATE;
    UPDATE agent.runs AS r
    SET state = 'cancelled', cancel_requested_at = moment, ended_at = moment
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run AND r.state = 'queued'
    RETURNING r.query_message_id, r.answer_message_id INTO run;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE agent.sessions AS s
    SET last_seq = s.last_seq + 1, last_activity_at = moment
    WHERE s.user_id = p_user AND s.session_id = p_session
    RETURNING s.last_seq, s.watchers INTO session;
    INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, state, in_reply_to, run_id, created_at)
    VALUES (p_user, p_session, session.last_seq, run.answer_message_id, 'assistant', '', 'cancelled', run.query_message_id,
            p_run, moment);
    RETURN session.watchers;
END
$$;
COMMENT ON FUNCTION agent.unqueue_run IS 'Ends a waiting run as cancelled; called by the server only.';

-- A new answer to a query that has one: a run like a query's, waiting its turn.
CREATE FUNCTION agent.regenerate(
    p_user text, p_session uuid, p_message uuid, p_client text, p_run uuid, p_answer uuid, p_max_queue integer
) RETURNS TABLE (outcome text, run_id uuid, query_message_id uuid, answer_message_id uuid, queue_position integer)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    known    record;
    question record;
    waiting  bigint;
    session  record;
    moment   timestamptz := date_trunc('milliseconds', clock_timestamp());
BEGIN
    SELECT s.last_seq INTO session
    FROM agent.sessions AS s WHERE s.user_id = p_user AND s.session_id = p_session FOR UPDATE;
    SELECT r.run_id, r.query_message_id, r.answer_message_id, r.state, r.priority, r.queue_order INTO known
    FROM agent.runs AS r
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.client_id = p_client;
    IF FOUND THEN
        -- The same wish names the same question: itself, or any answer to it.
        IF p_message IS NOT NULL AND p_message NOT IN (known.query_message_id, known.answer_message_id) AND NOT EXISTS (
               SELECT 1 FROM agent.messages AS a
               WHERE a.user_id = p_user AND a.session_id = p_session AND a.message_id = p_message
                 AND a.in_reply_to = known.query_message_id) THEN
            RETURN QUERY SELECT 'conflict', NULL::uuid, NULL::uuid, NULL::uuid, 0;
        ELSE
            -- Counts itself while it waits, and nothing once it runs or has ended.
            RETURN QUERY SELECT 'duplicate', known.run_id, known.query_message_id, known.answer_message_id, count(*)::integer
            FROM agent.runs AS r
            WHERE r.user_id = p_user AND r.session_id = p_session AND r.state = 'queued' AND known.state = 'queued'
              AND (r.priority, r.queue_order, r.run_id) <= (known.priority, known.queue_order, known.run_id);
        END IF;
        RETURN;
    END IF;
    -- The query itself, or the one that the named answer belongs to; the latest where none is named.
    SELECT m.message_id, m.seq INTO question
    FROM agent.messages AS m
    WHERE m.user_id = p_user AND m.session_id = p_session AND m.role = 'user'
      AND (p_message IS NULL OR m.message_id = p_message OR m.message_id = (
              SELECT a.in_reply_to FROM agent.messages AS a
              WHERE a.user_id = p_user AND a.session_id = p_session AND a.message_id = p_message))
    ORDER BY m.seq DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'missing', NULL::uuid, NULL::uuid, NULL::uuid, 0;
        RETURN;
    END IF;
    SELECT count(*) INTO waiting
    FROM agent.runs AS r
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.state = 'queued';
    IF p_max_queue > 0 AND waiting >= p_max_queue THEN
        RETURN QUERY SELECT 'queue_full', NULL::uuid, NULL::uuid, NULL::uuid, 0;
        RETURN;
    END IF;
    INSERT INTO agent.runs (user_id, session_id, run_id, state, client_id, query_message_id, query_seq, answer_message_id,
                            priority, queue_order, queued_at)
    VALUES (p_user, p_session, p_run, 'queued', p_client, question.message_id, question.seq, p_answer, 2,
            session.last_seq + 1, moment);
    RETURN QUERY
    SELECT 'queued', p_run, question.message_id, p_answer, count(*)::integer
    FROM agent.runs AS r
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.state = 'queued'
      AND (r.priority, r.queue_order, r.run_id) <= (2::smallint, session.last_seq + 1, p_run);
END
$$;
COMMENT ON FUNCTION agent.regenerate IS 'Asks for a new answer to a query; called by the server only.';

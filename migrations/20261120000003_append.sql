-- The one way into the log: a batch of queries and answers, each session at most once in a batch.
--
-- Lock, then look, then insert, in one round trip. A volatile function takes a new snapshot for each of its statements:
-- the first locks the session rows in key order (all nodes in one order, so no deadlock), the second sees everything that
-- was committed before those locks were granted. A single statement would decide on a snapshot older than the lock: two
-- nodes with one client id would then end in a unique violation that kills the batch, or in a gap.
--
-- The joins are LATERAL look-ups by key, so that a plan made while the tables were small stays right when they are not.

CREATE FUNCTION agent.append(
    p_node          integer,     -- the calling process
    p_max_queue     integer,     -- waiting queries a session; 0 = no limit
    p_max_runs      integer,     -- running answers a user; 0 = no limit
    p_retry         boolean,     -- the outcome of this batch is unknown: look for its messages first
    q_user          text[],
    q_session       uuid[],
    q_message       uuid[],
    q_client        text[],
    q_content       text[],
    q_metadata      jsonb[],
    q_title         text[],      -- the session's title if it has none
    q_run           uuid[],
    q_answer        uuid[],      -- the answer's message_id
    q_model         text[],
    q_priority      smallint[],
    q_on_busy       text[],
    q_start         boolean[],   -- the node has a free place for the run
    a_user          text[],
    a_session       uuid[],
    a_run           uuid[],
    a_fence         bigint[],
    a_content       text[],
    a_state         text[],
    a_model         text[],
    a_finish_reason text[],
    a_error_code    text[],
    a_generation    text[],
    a_input_tokens  bigint[],
    a_output_tokens bigint[],
    a_cost          double precision[],
    a_prompt        text[],      -- seqs of the prompt, as a bigint[] literal
    a_prompt_tokens integer[],
    a_first_token   timestamptz[],
    a_chain         boolean[]    -- start the session's next waiting run at once
) RETURNS TABLE (
    kind           text,         -- query or answer
    ord            bigint,       -- place in its arrays, from 1
    outcome        text,         -- appended, duplicate, conflict, busy, queue_full, fenced, missing
    seq            bigint,
    message_id     uuid,
    run_id         uuid,
    queue_position integer,
    fence          bigint,
    attempt        integer,
    created_at     timestamptz,
    watchers       integer[],
    other_node     integer,      -- the process whose run was interrupted
    next_run_id    uuid,         -- of an answer: the run that was started next
    next_query_id  uuid,
    next_query_seq bigint,
    next_answer_id uuid,
    next_model     text,
    next_fence     bigint,
    next_attempt   integer
)
LANGUAGE plpgsql VOLATILE
-- Planning this statement takes milliseconds, executing it a fraction of one: plan it once a connection, not once a call.
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1
    FROM (SELECT k.u, k.i FROM unnest(q_user, q_session) AS k (u, i)
          UNION
          SELECT k.u, k.i FROM unnest(a_user, a_session) AS k (u, i)) AS keys
    JOIN agent.sessions AS s ON s.user_id = keys.u AND s.session_id = keys.i
    ORDER BY s.user_id, s.session_id
    FOR UPDATE OF s;

    RETURN QUERY
    WITH q AS (
        SELECT *
        FROM unnest(q_user, q_session, q_message, q_client, q_content, q_metadata, q_title, q_run, q_answer, q_model,
                    q_priority, q_on_busy, q_start)
             WITH ORDINALITY AS x (user_id, session_id, message_id, client_id, content, metadata, title, run_id, answer_id,
                                   model, priority, on_busy, may_start, ord)
    ),
    q_look AS (
        SELECT q.*,
               s.session_id IS NOT NULL AS found,
               s.last_seq, s.active_run_id, s.fence AS session_fence, s.watchers,
               known.seq AS known_seq, known.message_id AS known_message, known.run_id AS known_run,
               known.content = q.content AS known_same, known.created_at AS known_at,
               known.message_id = q.message_id AS known_own,
               waiting.n AS waiting,
               running.n + row_number() OVER (PARTITION BY q.user_id ORDER BY q.ord) AS would_run
        FROM q
        LEFT JOIN LATERAL (
            SELECT * FROM agent.sessions AS s
            WHERE s.user_id = q.user_id AND s.session_id = q.session_id
            LIMIT 1
        ) AS s ON true
        LEFT JOIN LATERAL (
            (SELECT m.seq, m.message_id, m.run_id, m.content, m.created_at FROM agent.messages AS m
             WHERE m.user_id = q.user_id AND m.session_id = q.session_id AND m.client_id = q.client_id
             LIMIT 1)
            UNION ALL
            (SELECT m.seq, m.message_id, m.run_id, m.content, m.created_at FROM agent.messages AS m
             WHERE p_retry AND q.client_id IS NULL
               AND m.user_id = q.user_id AND m.session_id = q.session_id AND m.seq > s.last_seq - 1000
               AND m.message_id = q.message_id
             LIMIT 1)
            LIMIT 1
        ) AS known ON true
        LEFT JOIN LATERAL (
            SELECT count(*) AS n FROM agent.runs AS r
            WHERE r.user_id = q.user_id AND r.session_id = q.session_id AND r.state = 'queued'
        ) AS waiting ON true
        LEFT JOIN LATERAL (
            SELECT count(*) AS n FROM agent.runs AS r
            WHERE r.user_id = q.user_id AND r.state = 'running'
        ) AS running ON true
    ),
    q_outcome AS (
        SELECT q_look.*,
               CASE
                   WHEN NOT found THEN 'missing'
                   WHEN known_own THEN 'appended'
                   WHEN known_same THEN 'duplicate'
                   WHEN known_seq IS NOT NULL THEN 'conflict'
                   WHEN on_busy = 'reject' AND (active_run_id IS NOT NULL OR waiting > 0) THEN 'busy'
                   WHEN p_max_queue > 0 AND waiting >= p_max_queue THEN 'queue_full'
                   ELSE 'appended'
               END AS outcome
        FROM q_look
    ),
    q_done AS MATERIALIZED (
        SELECT q_outcome.*,
               outcome = 'appended' AND known_seq IS NULL AS writes,
               outcome = 'appended' AND known_seq IS NULL AND may_start AND active_run_id IS NULL AND waiting = 0
                   AND (p_max_runs = 0 OR would_run <= p_max_runs) AS starts,
               CASE WHEN on_busy = 'interrupt' THEN 0 ELSE priority END::smallint AS run_priority,
               CASE WHEN on_busy = 'interrupt' THEN -(last_seq + 1) ELSE last_seq + 1 END AS run_order,
               date_trunc('milliseconds', clock_timestamp()) AS stored_at
        FROM q_outcome
    ),
    a AS (
        SELECT *
        FROM unnest(a_user, a_session, a_run, a_fence, a_content, a_state, a_model, a_finish_reason, a_error_code,
                    a_generation, a_input_tokens, a_output_tokens, a_cost, a_prompt, a_prompt_tokens, a_first_token,
                    a_chain)
             WITH ORDINALITY AS x (user_id, session_id, run_id, fence, content, state, model, finish_reason, error_code,
                                   generation_id, input_tokens, output_tokens, cost, prompt, prompt_tokens, first_token_at,
                                   chain, ord)
    ),
    a_done AS MATERIALIZED (
        SELECT a.*,
               s.last_seq, s.fence AS session_fence, s.watchers, r.answer_message_id, r.query_message_id, r.attempt,
               coalesce(a.generation_id, r.provider_generation_id) AS known_generation_id,
               coalesce(a.prompt_tokens, r.prompt_tokens) AS known_prompt_tokens,
               known.seq AS known_seq, known.created_at AS known_at,
               CASE
                   WHEN s.session_id IS NULL THEN 'missing'
                   WHEN known.seq IS NOT NULL THEN 'appended'
                   WHEN r.state = 'running' AND r.fence = a.fence AND s.active_run_id = a.run_id THEN 'appended'
                   ELSE 'fenced'
               END AS outcome,
               date_trunc('milliseconds', clock_timestamp()) AS stored_at
        FROM a
        LEFT JOIN LATERAL (
            SELECT * FROM agent.sessions AS s
            WHERE s.user_id = a.user_id AND s.session_id = a.session_id
            LIMIT 1
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT * FROM agent.runs AS r
            WHERE r.user_id = a.user_id AND r.session_id = a.session_id AND r.run_id = a.run_id
            LIMIT 1
        ) AS r ON true
        LEFT JOIN LATERAL (
            SELECT m.seq, m.created_at FROM agent.messages AS m
            WHERE p_retry AND r.fence = a.fence
              AND m.user_id = a.user_id AND m.session_id = a.session_id AND m.seq > s.last_seq - 1000
              AND m.message_id = r.answer_message_id
            LIMIT 1
        ) AS known ON true
    ),
    a_next AS MATERIALIZED (
        -- What runs next in a session whose answer ends: the first that waits; or, when this batch is a repetition, what
        -- its first execution had already started.
        SELECT d.ord AS of, d.session_fence, n.*, p_retry AND d.known_seq IS NOT NULL AS already
        FROM a_done AS d
        CROSS JOIN LATERAL (
            (SELECT r.* FROM agent.runs AS r
             WHERE d.chain AND d.known_seq IS NULL
               AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.state = 'queued'
             ORDER BY r.priority, r.queue_order, r.run_id
             LIMIT 1)
            UNION ALL
            (SELECT r.* FROM agent.runs AS r
             WHERE p_retry AND d.known_seq IS NOT NULL
               AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.state = 'running' AND r.node_id = p_node
             LIMIT 1)
            LIMIT 1
        ) AS n
        WHERE d.outcome = 'appended'
    ),
    insert_messages AS (
        INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, state, in_reply_to,
                                    run_id, model, finish_reason, error_code, input_tokens, output_tokens, cost_usd,
                                    metadata, created_at)
        SELECT user_id, session_id, last_seq + 1, message_id, client_id, 'user', content, 'complete', NULL,
               run_id, NULL, NULL, NULL, NULL, NULL, NULL, metadata, stored_at
        FROM q_done
        WHERE writes
        UNION ALL
        SELECT user_id, session_id, last_seq + 1, answer_message_id, NULL, 'assistant', content, state, query_message_id,
               run_id, model, finish_reason, error_code, input_tokens, output_tokens, cost::numeric(14, 8), NULL, stored_at
        FROM a_done
        WHERE outcome = 'appended' AND known_seq IS NULL
    ),
    insert_runs AS (
        INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id,
                                requested_model, priority, queue_order, attempt, fence, node_id, queued_at, started_at)
        SELECT user_id, session_id, run_id, CASE WHEN starts THEN 'running' ELSE 'queued' END, message_id, last_seq + 1,
               answer_id, model, run_priority, run_order,
               CASE WHEN starts THEN 1 ELSE 0 END,
               CASE WHEN starts THEN session_fence + 1 ELSE 0 END,
               CASE WHEN starts THEN p_node END,
               stored_at,
               CASE WHEN starts THEN stored_at END
        FROM q_done
        WHERE writes
    ),
    end_runs AS (
        UPDATE agent.runs AS r
        SET state = d.state, model = d.model, finish_reason = d.finish_reason, error_code = d.error_code,
            provider_generation_id = coalesce(d.generation_id, r.provider_generation_id),
            prompt_seqs = coalesce(d.prompt::bigint[], r.prompt_seqs),
            prompt_tokens = coalesce(d.prompt_tokens, r.prompt_tokens),
            first_token_at = coalesce(d.first_token_at, r.first_token_at),
            ended_at = d.stored_at
        FROM a_done AS d
        WHERE d.outcome = 'appended' AND d.known_seq IS NULL
          AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.run_id = d.run_id
        RETURNING d.ord
    ),
    insert_usage AS (
        -- Without the provider's own count the try is estimated, and the provider asked later where it can be.
        INSERT INTO agent.usage (user_id, session_id, run_id, attempt, model, provider_generation_id, source, input_tokens,
                                 output_tokens, cost_usd, created_at, reconcile_at)
        SELECT d.user_id, d.session_id, d.run_id, d.attempt, d.model, d.known_generation_id,
               CASE WHEN d.input_tokens IS NULL THEN 'estimated' ELSE 'provider' END,
               coalesce(d.input_tokens, d.known_prompt_tokens),
               coalesce(d.output_tokens, ceil(octet_length(d.content) / 4.0)::bigint),
               d.cost::numeric(14, 8), d.stored_at,
               CASE WHEN d.input_tokens IS NULL AND d.known_generation_id IS NOT NULL
                    THEN d.stored_at + interval '2 seconds' END
        FROM a_done AS d
        WHERE d.outcome = 'appended' AND d.known_seq IS NULL
          AND (d.input_tokens IS NOT NULL OR d.known_generation_id IS NOT NULL OR d.content <> '')
        ON CONFLICT DO NOTHING
    ),
    start_next AS (
        UPDATE agent.runs AS r
        SET state = 'running', attempt = r.attempt + 1, fence = n.session_fence + 1, node_id = p_node,
            started_at = date_trunc('milliseconds', clock_timestamp())
        -- Reading what end_runs returns makes it go first: two running runs of a session would break runs_running.
        FROM a_next AS n
        JOIN end_runs AS e ON e.ord = n.of
        WHERE NOT n.already
          AND r.user_id = n.user_id AND r.session_id = n.session_id AND r.run_id = n.run_id
    ),
    interrupt AS (
        UPDATE agent.runs AS r
        SET cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp())
        FROM q_done AS d
        WHERE d.writes AND d.on_busy = 'interrupt'
          AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.run_id = d.active_run_id
        RETURNING d.ord, r.node_id
    ),
    update_sessions AS (
        UPDATE agent.sessions AS s
        SET last_seq = s.last_seq + 1,
            stored_bytes = s.stored_bytes + e.bytes,
            last_activity_at = e.stored_at,
            title = coalesce(s.title, e.title),
            active_run_id = CASE WHEN e.is_answer OR e.starts IS NOT NULL THEN e.starts ELSE s.active_run_id END,
            fence = CASE WHEN e.starts IS NOT NULL THEN s.fence + 1 ELSE s.fence END
        FROM (
            SELECT user_id, session_id, octet_length(content) AS bytes, stored_at, title, false AS is_answer,
                   CASE WHEN starts THEN run_id END AS starts
            FROM q_done
            WHERE writes
            UNION ALL
            SELECT d.user_id, d.session_id, octet_length(d.content), d.stored_at, NULL, true, n.run_id
            FROM a_done AS d
            LEFT JOIN a_next AS n ON n.of = d.ord
            WHERE d.outcome = 'appended' AND d.known_seq IS NULL
        ) AS e
        WHERE s.user_id = e.user_id AND s.session_id = e.session_id
    )
    SELECT 'query', d.ord, d.outcome,
           coalesce(d.known_seq, d.last_seq + 1),
           coalesce(d.known_message, d.message_id),
           coalesce(d.known_run, d.run_id),
           CASE
               WHEN d.writes THEN CASE WHEN d.starts THEN 0 ELSE 1 + ahead.n END
               ELSE coalesce(place.n, 0)
           END::integer,
           CASE WHEN d.starts THEN d.session_fence + 1 WHEN d.known_own THEN mine.fence END,
           CASE WHEN d.starts THEN 1 WHEN d.known_own THEN mine.attempt END,
           coalesce(d.known_at, d.stored_at),
           d.watchers,
           i.node_id,
           NULL::uuid, NULL::uuid, NULL::bigint, NULL::uuid, NULL::text, NULL::bigint, NULL::integer
    FROM q_done AS d
    LEFT JOIN interrupt AS i ON i.ord = d.ord
    LEFT JOIN LATERAL (
        SELECT count(*) AS n FROM agent.runs AS r
        WHERE d.writes AND NOT d.starts
          AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.state = 'queued'
          AND (r.priority, r.queue_order, r.run_id) < (d.run_priority, d.run_order, d.run_id)
    ) AS ahead ON true
    LEFT JOIN LATERAL (
        -- Only when a batch whose outcome was unknown is repeated: the run that its first execution started here.
        SELECT r.fence, r.attempt FROM agent.runs AS r
        WHERE d.known_own
          AND r.user_id = d.user_id AND r.session_id = d.session_id AND r.run_id = d.known_run
          AND r.state = 'running' AND r.node_id = p_node
        LIMIT 1
    ) AS mine ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS n FROM agent.runs AS k
        JOIN agent.runs AS r ON r.user_id = k.user_id AND r.session_id = k.session_id AND r.state = 'queued'
         AND (r.priority, r.queue_order, r.run_id) <= (k.priority, k.queue_order, k.run_id)
        WHERE d.known_seq IS NOT NULL
          AND k.user_id = d.user_id AND k.session_id = d.session_id AND k.run_id = d.known_run AND k.state = 'queued'
    ) AS place ON true
    UNION ALL
    SELECT 'answer', d.ord, d.outcome,
           coalesce(d.known_seq, d.last_seq + 1),
           d.answer_message_id,
           d.run_id,
           0,
           d.fence,
           d.attempt,
           coalesce(d.known_at, d.stored_at),
           d.watchers,
           NULL,
           n.run_id, n.query_message_id, n.query_seq, n.answer_message_id, n.requested_model,
           CASE WHEN n.already THEN n.fence ELSE d.session_fence + 1 END,
           CASE WHEN n.already THEN n.attempt ELSE n.attempt + 1 END
    FROM a_done AS d
    LEFT JOIN a_next AS n ON n.of = d.ord;
END
$$;
COMMENT ON FUNCTION agent.append IS 'Stores a batch of queries and answers; called by the server only.';

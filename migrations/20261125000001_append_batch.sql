-- The way into the log as a short program: lock, look, decide item by item, write each table once.
--
-- It decides exactly as agent.append does, which is left for processes of the version before this one. That is one statement
-- of thirty parts, which took 0.4 ms only to be begun and ended, whatever it stored. Statements that write one row each were
-- no better: what a statement on these tables costs before its first row (their partial indexes and checks are prepared
-- each time) is several times what a row costs. So rows are collected, and written by five statements at most.
--
-- Locks first, in key order, so that all nodes wait in one order and none for another. A volatile function takes a new
-- snapshot for each of its statements, so what is looked at afterwards is what was committed before the locks were granted.
-- Each session stands at most once in a batch.

CREATE FUNCTION agent.append_batch(
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
    is_answer       boolean,
    ord             bigint,      -- place in its arrays, from 1
    outcome         text,        -- appended, duplicate, conflict, busy, queue_full, fenced, missing
    seq             bigint,
    message_id      uuid,
    run_id          uuid,
    queue_position  integer,
    created_at      timestamptz,
    watchers        integer[],
    other_node      integer,     -- the process whose run was interrupted
    start_run_id    uuid,        -- the run that this process begins: a query's own, or the next after an answer
    start_query_id  uuid,
    start_query_seq bigint,
    start_answer_id uuid,
    start_model     text,
    start_fence     bigint,
    start_attempt   integer,
    context_after   bigint,      -- of the session, for the run that begins
    session_model   text
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    q            record;
    a            record;
    known_seq    bigint;
    message      agent.messages;
    run          agent.runs;
    session      agent.sessions;
    took         agent.usage;
    new_messages agent.messages[] := '{}';
    new_runs     agent.runs[] := '{}';
    ended_runs   agent.runs[] := '{}';
    new_usage    agent.usage[] := '{}';
    -- Of each session: last_seq, active_run_id, fence and last_activity_at as they will be; bytes to add; a title.
    changed      agent.sessions[] := '{}';
    started      text[] := '{}';   -- the user of each run that this batch starts
BEGIN
    PERFORM 1
    FROM (SELECT k.u, k.i FROM unnest(q_user, q_session) AS k (u, i)
          UNION ALL
          SELECT k.u, k.i FROM unnest(a_user, a_session) AS k (u, i)) AS keys
    JOIN agent.sessions AS s ON s.user_id = keys.u AND s.session_id = keys.i
    ORDER BY s.user_id, s.session_id
    FOR UPDATE OF s;

    IF cardinality(q_user) > 0 THEN
        is_answer := false;
        -- Only keys are unnested, and the rest taken by its place: a column of unnest costs more than a look-up.
        FOR q IN
            SELECT x.ord, x.user_id, x.session_id, x.client_id, s.session_id IS NOT NULL AS found, s.last_seq, s.active_run_id,
                   s.fence, s.watchers, s.context_after_seq, s.model AS session_model,
                   m.seq AS known_seq, m.message_id AS known_message, m.run_id AS known_run, m.content AS known_content,
                   m.created_at AS known_at,
                   (SELECT count(*) FROM agent.runs AS r
                    WHERE r.user_id = x.user_id AND r.session_id = x.session_id AND r.state = 'queued') AS waiting,
                   (SELECT count(*) FROM agent.runs AS r
                    WHERE p_max_runs > 0 AND r.user_id = x.user_id AND r.state = 'running') AS running
            FROM unnest(q_user, q_session, q_client) WITH ORDINALITY AS x (user_id, session_id, client_id, ord)
            LEFT JOIN agent.sessions AS s ON s.user_id = x.user_id AND s.session_id = x.session_id
            LEFT JOIN agent.messages AS m ON m.user_id = x.user_id AND m.session_id = x.session_id AND m.client_id = x.client_id
        LOOP
            ord := q.ord; seq := NULL; message_id := q_message[q.ord]; run_id := q_run[q.ord]; queue_position := 0;
            created_at := date_trunc('milliseconds', clock_timestamp());
            watchers := q.watchers; other_node := NULL; start_run_id := NULL;
            context_after := q.context_after_seq; session_model := q.session_model;
            IF NOT q.found THEN
                outcome := 'missing';
                RETURN NEXT;
                CONTINUE;
            END IF;

            -- Was it stored before? Under the client's id, or by the first execution of this batch.
            IF p_retry AND q.client_id IS NULL THEN
                SELECT m.seq, m.message_id, m.run_id, m.content, m.created_at
                INTO q.known_seq, q.known_message, q.known_run, q.known_content, q.known_at
                FROM agent.messages AS m
                WHERE m.user_id = q.user_id AND m.session_id = q.session_id AND m.seq > q.last_seq - 1000
                  AND m.message_id = q_message[q.ord];
            END IF;
            IF q.known_seq IS NOT NULL THEN
                outcome := CASE WHEN q.known_message = q_message[q.ord] THEN 'appended'
                                WHEN q.known_content = q_content[q.ord] THEN 'duplicate'
                                ELSE 'conflict' END;
                seq := q.known_seq; message_id := q.known_message; run_id := q.known_run; created_at := q.known_at;
                SELECT count(*) INTO queue_position
                FROM agent.runs AS k
                JOIN agent.runs AS r ON r.user_id = k.user_id AND r.session_id = k.session_id AND r.state = 'queued'
                 AND (r.priority, r.queue_order, r.run_id) <= (k.priority, k.queue_order, k.run_id)
                WHERE k.user_id = q.user_id AND k.session_id = q.session_id AND k.run_id = q.known_run AND k.state = 'queued';
                IF outcome = 'appended' THEN
                    -- A batch whose outcome was unknown is repeated: the run that its first execution started here.
                    SELECT r.run_id, r.query_message_id, r.query_seq, r.answer_message_id, r.requested_model, r.fence, r.attempt
                    INTO start_run_id, start_query_id, start_query_seq, start_answer_id, start_model, start_fence, start_attempt
                    FROM agent.runs AS r
                    WHERE r.user_id = q.user_id AND r.session_id = q.session_id AND r.run_id = q.known_run
                      AND r.state = 'running' AND r.node_id = p_node;
                END IF;
                RETURN NEXT;
                CONTINUE;
            END IF;

            -- May it be stored?
            outcome := CASE
                WHEN q_on_busy[q.ord] = 'reject' AND (q.active_run_id IS NOT NULL OR q.waiting > 0) THEN 'busy'
                WHEN p_max_queue > 0 AND q.waiting >= p_max_queue THEN 'queue_full'
                ELSE 'appended'
            END;
            IF outcome <> 'appended' THEN
                RETURN NEXT;
                CONTINUE;
            END IF;

            seq := q.last_seq + 1;
            message.user_id := q.user_id; message.session_id := q.session_id; message.seq := seq;
            message.message_id := q_message[q.ord]; message.client_id := q.client_id; message.role := 'user';
            message.content := q_content[q.ord]; message.state := 'complete'; message.run_id := q_run[q.ord];
            message.metadata := q_metadata[q.ord]; message.created_at := created_at;
            new_messages := new_messages || message;

            run.user_id := q.user_id; run.session_id := q.session_id; run.run_id := q_run[q.ord];
            run.query_message_id := q_message[q.ord]; run.query_seq := seq; run.answer_message_id := q_answer[q.ord];
            run.requested_model := q_model[q.ord]; run.queued_at := created_at;
            session.user_id := q.user_id; session.session_id := q.session_id; session.last_seq := seq;
            session.stored_bytes := octet_length(q_content[q.ord]); session.title := q_title[q.ord];
            session.last_activity_at := created_at;
            IF q_start[q.ord] AND q.active_run_id IS NULL AND q.waiting = 0
               AND (p_max_runs = 0 OR q.running + cardinality(array_positions(started, q.user_id)) < p_max_runs) THEN
                started := started || q.user_id;
                start_run_id := q_run[q.ord]; start_query_id := q_message[q.ord]; start_query_seq := seq;
                start_answer_id := q_answer[q.ord]; start_model := q_model[q.ord]; start_fence := q.fence + 1; start_attempt := 1;
                run.state := 'running'; run.attempt := 1; run.fence := start_fence; run.node_id := p_node;
                run.started_at := created_at; run.priority := q_priority[q.ord]; run.queue_order := seq;
                session.active_run_id := q_run[q.ord]; session.fence := start_fence;
            ELSE
                run.state := 'queued'; run.attempt := 0; run.fence := 0; run.node_id := NULL; run.started_at := NULL;
                run.priority := CASE WHEN q_on_busy[q.ord] = 'interrupt' THEN 0 ELSE q_priority[q.ord] END;
                run.queue_order := CASE WHEN q_on_busy[q.ord] = 'interrupt' THEN -seq ELSE seq END;
                session.active_run_id := q.active_run_id; session.fence := q.fence;
                SELECT 1 + count(*) INTO queue_position
                FROM agent.runs AS r
                WHERE r.user_id = q.user_id AND r.session_id = q.session_id AND r.state = 'queued'
                  AND (r.priority, r.queue_order, r.run_id) < (run.priority, run.queue_order, run.run_id);
                IF q_on_busy[q.ord] = 'interrupt' THEN
                    UPDATE agent.runs AS r
                    SET cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp())
                    WHERE r.user_id = q.user_id AND r.session_id = q.session_id AND r.run_id = q.active_run_id
                    RETURNING r.node_id INTO other_node;
                END IF;
            END IF;
            new_runs := new_runs || run;
            changed := changed || session;
            RETURN NEXT;
        END LOOP;
    END IF;

    IF cardinality(a_user) > 0 THEN
        is_answer := true;
        message := NULL; session := NULL; run := NULL;
        FOR a IN
            SELECT x.ord, x.user_id, x.session_id, x.run_id, s.session_id IS NOT NULL AS found, s.last_seq, s.active_run_id,
                   s.fence AS session_fence, s.watchers, s.context_after_seq, s.model AS session_model, r.state AS run_state,
                   r.fence AS run_fence, r.answer_message_id, r.query_message_id, r.attempt, r.provider_generation_id,
                   r.prompt_tokens, r.prompt_seqs, r.first_token_at,
                   EXISTS (SELECT 1 FROM agent.runs AS w
                           WHERE w.user_id = x.user_id AND w.session_id = x.session_id AND w.state = 'queued') AS waits
            FROM unnest(a_user, a_session, a_run) WITH ORDINALITY AS x (user_id, session_id, run_id, ord)
            LEFT JOIN agent.sessions AS s ON s.user_id = x.user_id AND s.session_id = x.session_id
            LEFT JOIN agent.runs AS r ON r.user_id = x.user_id AND r.session_id = x.session_id AND r.run_id = x.run_id
        LOOP
            ord := a.ord; seq := NULL; message_id := a.answer_message_id; run_id := a.run_id; queue_position := 0;
            created_at := date_trunc('milliseconds', clock_timestamp());
            watchers := a.watchers; other_node := NULL; start_run_id := NULL;
            context_after := a.context_after_seq; session_model := a.session_model;
            IF NOT a.found THEN
                outcome := 'missing';
                RETURN NEXT;
                CONTINUE;
            END IF;

            known_seq := NULL;
            IF p_retry AND a.run_fence = a_fence[a.ord] THEN
                SELECT m.seq, m.created_at INTO known_seq, created_at
                FROM agent.messages AS m
                WHERE m.user_id = a.user_id AND m.session_id = a.session_id AND m.seq > a.last_seq - 1000
                  AND m.message_id = a.answer_message_id;
            END IF;
            IF known_seq IS NOT NULL THEN
                -- Stored by this batch's first execution, which may have started the session's next run as well.
                outcome := 'appended'; seq := known_seq;
                SELECT r.run_id, r.query_message_id, r.query_seq, r.answer_message_id, r.requested_model, r.fence, r.attempt
                INTO start_run_id, start_query_id, start_query_seq, start_answer_id, start_model, start_fence, start_attempt
                FROM agent.runs AS r
                WHERE r.user_id = a.user_id AND r.session_id = a.session_id AND r.state = 'running' AND r.node_id = p_node;
                RETURN NEXT;
                CONTINUE;
            END IF;
            IF a.run_state IS DISTINCT FROM 'running' OR a.run_fence <> a_fence[a.ord]
               OR a.active_run_id IS DISTINCT FROM a.run_id THEN
                outcome := 'fenced';
                RETURN NEXT;
                CONTINUE;
            END IF;

            -- The look for what was stored before may have emptied it.
            outcome := 'appended'; seq := a.last_seq + 1; created_at := date_trunc('milliseconds', clock_timestamp());
            message.user_id := a.user_id; message.session_id := a.session_id; message.seq := seq;
            message.message_id := a.answer_message_id; message.role := 'assistant'; message.content := a_content[a.ord];
            message.state := a_state[a.ord]; message.in_reply_to := a.query_message_id; message.run_id := a.run_id;
            message.model := a_model[a.ord]; message.finish_reason := a_finish_reason[a.ord];
            message.error_code := a_error_code[a.ord]; message.input_tokens := a_input_tokens[a.ord];
            message.output_tokens := a_output_tokens[a.ord]; message.cost_usd := a_cost[a.ord];
            message.created_at := created_at;
            new_messages := new_messages || message;

            run.user_id := a.user_id; run.session_id := a.session_id; run.run_id := a.run_id; run.state := a_state[a.ord];
            run.model := a_model[a.ord]; run.finish_reason := a_finish_reason[a.ord]; run.error_code := a_error_code[a.ord];
            run.provider_generation_id := coalesce(a_generation[a.ord], a.provider_generation_id);
            run.prompt_seqs := coalesce(a_prompt[a.ord]::bigint[], a.prompt_seqs);
            run.prompt_tokens := coalesce(a_prompt_tokens[a.ord], a.prompt_tokens);
            run.first_token_at := coalesce(a_first_token[a.ord], a.first_token_at); run.ended_at := created_at;
            ended_runs := ended_runs || run;

            -- Without the provider's own count the try is estimated, and the provider asked later where it can be.
            IF a_input_tokens[a.ord] IS NOT NULL OR run.provider_generation_id IS NOT NULL OR a_content[a.ord] <> '' THEN
                took.user_id := a.user_id; took.session_id := a.session_id; took.run_id := a.run_id; took.attempt := a.attempt;
                took.model := a_model[a.ord]; took.provider_generation_id := run.provider_generation_id;
                took.source := CASE WHEN a_input_tokens[a.ord] IS NULL THEN 'estimated' ELSE 'provider' END;
                took.input_tokens := coalesce(a_input_tokens[a.ord], run.prompt_tokens);
                took.output_tokens := coalesce(a_output_tokens[a.ord], ceil(octet_length(a_content[a.ord]) / 4.0));
                took.cost_usd := a_cost[a.ord]; took.created_at := created_at;
                took.reconcile_at := CASE WHEN a_input_tokens[a.ord] IS NULL AND run.provider_generation_id IS NOT NULL
                                          THEN created_at + interval '2 seconds' END;
                new_usage := new_usage || took;
            END IF;

            session.user_id := a.user_id; session.session_id := a.session_id; session.last_seq := seq;
            session.stored_bytes := octet_length(a_content[a.ord]); session.last_activity_at := created_at;
            session.active_run_id := NULL; session.fence := a.session_fence;
            IF a_chain[a.ord] AND a.waits THEN
                -- One run of a session runs at a time: the one that ends makes room first; the rest of its end is written below.
                UPDATE agent.runs AS r
                SET state = a_state[a.ord]
                WHERE r.user_id = a.user_id AND r.session_id = a.session_id AND r.run_id = a.run_id;
                UPDATE agent.runs AS r
                SET state = 'running', attempt = r.attempt + 1, fence = a.session_fence + 1, node_id = p_node,
                    started_at = created_at
                WHERE r.user_id = a.user_id AND r.session_id = a.session_id
                  AND r.run_id = (SELECT w.run_id FROM agent.runs AS w
                                  WHERE w.user_id = a.user_id AND w.session_id = a.session_id AND w.state = 'queued'
                                  ORDER BY w.priority, w.queue_order, w.run_id
                                  LIMIT 1)
                RETURNING r.run_id, r.query_message_id, r.query_seq, r.answer_message_id, r.requested_model, r.fence, r.attempt
                INTO start_run_id, start_query_id, start_query_seq, start_answer_id, start_model, start_fence, start_attempt;
                session.active_run_id := start_run_id; session.fence := start_fence;
            END IF;
            changed := changed || session;
            RETURN NEXT;
        END LOOP;
    END IF;

    IF cardinality(new_messages) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, state, in_reply_to, run_id,
                                model, finish_reason, error_code, input_tokens, output_tokens, cost_usd, metadata, created_at)
    SELECT m.user_id, m.session_id, m.seq, m.message_id, m.client_id, m.role, m.content, m.state, m.in_reply_to, m.run_id,
           m.model, m.finish_reason, m.error_code, m.input_tokens, m.output_tokens, m.cost_usd, m.metadata, m.created_at
    FROM unnest(new_messages) AS m;
    UPDATE agent.sessions AS s
    SET last_seq = c.last_seq, stored_bytes = s.stored_bytes + c.stored_bytes, last_activity_at = c.last_activity_at,
        title = coalesce(s.title, c.title), active_run_id = c.active_run_id, fence = c.fence
    FROM unnest(changed) AS c
    WHERE s.user_id = c.user_id AND s.session_id = c.session_id;
    IF cardinality(new_runs) > 0 THEN
        INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id,
                                requested_model, priority, queue_order, attempt, fence, node_id, queued_at, started_at)
        SELECT r.user_id, r.session_id, r.run_id, r.state, r.query_message_id, r.query_seq, r.answer_message_id,
               r.requested_model, r.priority, r.queue_order, r.attempt, r.fence, r.node_id, r.queued_at, r.started_at
        FROM unnest(new_runs) AS r;
    END IF;
    IF cardinality(ended_runs) > 0 THEN
        UPDATE agent.runs AS r
        SET state = e.state, model = e.model, finish_reason = e.finish_reason, error_code = e.error_code,
            provider_generation_id = e.provider_generation_id, prompt_seqs = e.prompt_seqs, prompt_tokens = e.prompt_tokens,
            first_token_at = e.first_token_at, ended_at = e.ended_at
        FROM unnest(ended_runs) AS e
        WHERE r.user_id = e.user_id AND r.session_id = e.session_id AND r.run_id = e.run_id;
    END IF;
    IF cardinality(new_usage) > 0 THEN
        INSERT INTO agent.usage (user_id, session_id, run_id, attempt, model, provider_generation_id, source, input_tokens,
                                 output_tokens, cost_usd, created_at, reconcile_at)
        SELECT u.user_id, u.session_id, u.run_id, u.attempt, u.model, u.provider_generation_id, u.source, u.input_tokens,
               u.output_tokens, u.cost_usd, u.created_at, u.reconcile_at
        FROM unnest(new_usage) AS u
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION agent.append_batch IS 'Stores a batch of queries and answers; called by the server only.';
SELECT agent.grant_access();

-- The views that people read: names as stable as the wire. Each runs with the rights and the row-level security of whoever
-- asks (security_invoker).

-- What was said, with what is known of it beside: one row a message.
CREATE VIEW agent.transcript WITH (security_invoker = true) AS
SELECT m.user_id, m.session_id, s.title AS session_title, m.seq, m.created_at, m.role, m.content, m.state, m.message_id,
       m.client_id, m.in_reply_to, m.run_id, m.model, m.finish_reason, m.error_code, m.input_tokens, m.output_tokens,
       m.cost_usd, m.metadata,
       coalesce(r.query_seq, m.seq) <= s.context_after_seq AS cleared,
       f.rating, f.comment, f.correction, f.tags
FROM agent.messages AS m
JOIN agent.sessions AS s ON s.user_id = m.user_id AND s.session_id = m.session_id
LEFT JOIN agent.runs AS r ON r.user_id = m.user_id AND r.session_id = m.session_id AND r.run_id = m.run_id
LEFT JOIN agent.feedback AS f ON f.user_id = m.user_id AND f.session_id = m.session_id AND f.message_id = m.message_id;
COMMENT ON VIEW agent.transcript IS 'What was said, with its session''s title and people''s feedback: one row a message. Order by session_id, seq.';
COMMENT ON COLUMN agent.transcript.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.transcript.session_id IS 'Which session.';
COMMENT ON COLUMN agent.transcript.session_title IS 'The session''s title.';
COMMENT ON COLUMN agent.transcript.seq IS 'Place in the session: 1, 2, 3 …';
COMMENT ON COLUMN agent.transcript.created_at IS 'When it was stored.';
COMMENT ON COLUMN agent.transcript.role IS 'user, assistant, or notification (data that a service put into the conversation).';
COMMENT ON COLUMN agent.transcript.content IS 'The text.';
COMMENT ON COLUMN agent.transcript.state IS 'complete; or, of answers: cancelled, incomplete (some text, then a fault), failed (no text).';
COMMENT ON COLUMN agent.transcript.message_id IS 'The message''s id.';
COMMENT ON COLUMN agent.transcript.client_id IS 'The id that the client gave its query.';
COMMENT ON COLUMN agent.transcript.in_reply_to IS 'Of answers: the query''s message_id. Several answers to one query: the highest seq is the latest.';
COMMENT ON COLUMN agent.transcript.run_id IS 'The run that answers this query, or that wrote this answer.';
COMMENT ON COLUMN agent.transcript.model IS 'Of answers: the model that wrote it.';
COMMENT ON COLUMN agent.transcript.finish_reason IS 'Of answers: the provider''s reason for the end.';
COMMENT ON COLUMN agent.transcript.error_code IS 'Of answers that are not complete: the code that clients were told.';
COMMENT ON COLUMN agent.transcript.input_tokens IS 'Of answers: tokens of the prompt, as the provider counted.';
COMMENT ON COLUMN agent.transcript.output_tokens IS 'Of answers: tokens of the answer, as the provider counted.';
COMMENT ON COLUMN agent.transcript.cost_usd IS 'Of answers: what the provider charged, in US dollars.';
COMMENT ON COLUMN agent.transcript.metadata IS 'The client''s own data; of notifications their kind, title, data and priority.';
COMMENT ON COLUMN agent.transcript.cleared IS 'Its turn is before the last clear: the model no longer sees it.';
COMMENT ON COLUMN agent.transcript.rating IS 'Feedback: -1 down, 0 neutral, 1 up.';
COMMENT ON COLUMN agent.transcript.comment IS 'Feedback: a comment.';
COMMENT ON COLUMN agent.transcript.correction IS 'Feedback: what the answer should have been.';
COMMENT ON COLUMN agent.transcript.tags IS 'Feedback: short labels.';

-- One row a session: what a list of conversations shows, and what they cost.
CREATE VIEW agent.session_overview WITH (security_invoker = true) AS
SELECT s.user_id, s.session_id, s.title, s.model, s.created_at, s.last_activity_at,
       s.last_seq - s.first_seq + 1 AS messages,
       last.role AS last_role, left(last.content, 200) AS last_content,
       s.active_run_id AS running_run_id,
       (SELECT count(*) FROM agent.runs AS r
        WHERE r.user_id = s.user_id AND r.session_id = s.session_id AND r.state = 'queued') AS waiting_runs,
       cost.input_tokens, cost.output_tokens, cost.cost_usd, s.metadata
FROM agent.sessions AS s
LEFT JOIN agent.messages AS last ON last.user_id = s.user_id AND last.session_id = s.session_id AND last.seq = s.last_seq
CROSS JOIN LATERAL (
    SELECT coalesce(sum(u.input_tokens), 0)::bigint AS input_tokens, coalesce(sum(u.output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(u.cost_usd), 0) AS cost_usd
    FROM agent.usage AS u
    WHERE u.user_id = s.user_id AND u.session_id = s.session_id
) AS cost;
COMMENT ON VIEW agent.session_overview IS 'One row a session: its size, its last message, what runs in it and what it cost.';
COMMENT ON COLUMN agent.session_overview.user_id IS 'Whose it is: the token''s subject.';
COMMENT ON COLUMN agent.session_overview.session_id IS 'Which one.';
COMMENT ON COLUMN agent.session_overview.title IS 'Given by the user, or the beginning of the first question.';
COMMENT ON COLUMN agent.session_overview.model IS 'Model chosen for this session; null for the operator''s default.';
COMMENT ON COLUMN agent.session_overview.created_at IS 'When it was created.';
COMMENT ON COLUMN agent.session_overview.last_activity_at IS 'When something was last written to it.';
COMMENT ON COLUMN agent.session_overview.messages IS 'How many messages are kept.';
COMMENT ON COLUMN agent.session_overview.last_role IS 'Whose the newest message is.';
COMMENT ON COLUMN agent.session_overview.last_content IS 'The first 200 characters of the newest message.';
COMMENT ON COLUMN agent.session_overview.running_run_id IS 'The run in progress, if any.';
COMMENT ON COLUMN agent.session_overview.waiting_runs IS 'Runs that wait for their turn.';
COMMENT ON COLUMN agent.session_overview.input_tokens IS 'Tokens of all prompts, removed messages'' included.';
COMMENT ON COLUMN agent.session_overview.output_tokens IS 'Tokens of all answers, removed messages'' included.';
COMMENT ON COLUMN agent.session_overview.cost_usd IS 'What the provider charged for all of it, in US dollars; costs not known yet count nothing.';
COMMENT ON COLUMN agent.session_overview.metadata IS 'The client''s own data.';

-- What a user has not acknowledged and may still see. The server delivers from it, so it cannot say anything else than what
-- is delivered: rows that are due.
CREATE VIEW agent.pending_notifications WITH (security_invoker = true) AS
SELECT n.notification_id, n.user_id, n.session_id, n.kind, n.title, n.content, n.data, n.priority, n.dedupe_key,
       n.collapse_key, n.deliver_after, n.expires_at, n.in_context, n.created_at,
       (n.deliver_after IS NULL OR n.deliver_after <= statement_timestamp()) AS due
FROM agent.notifications AS n
WHERE n.acknowledged_at IS NULL
  AND (n.expires_at IS NULL OR n.expires_at > statement_timestamp())
  -- Of several with one collapse_key the newest that is due, and those that are yet to come.
  AND NOT EXISTS (
      SELECT 1 FROM agent.notifications AS newer
      WHERE newer.user_id = n.user_id AND newer.collapse_key = n.collapse_key AND newer.acknowledged_at IS NULL
        AND (newer.created_at, newer.notification_id) > (n.created_at, n.notification_id)
        AND (newer.deliver_after IS NULL OR newer.deliver_after <= statement_timestamp())
        AND (newer.expires_at IS NULL OR newer.expires_at > statement_timestamp()));
COMMENT ON VIEW agent.pending_notifications IS 'What users have not acknowledged and may still see; where due, what the next connect is sent.';
COMMENT ON COLUMN agent.pending_notifications.notification_id IS 'By which clients drop repeats and acknowledge.';
COMMENT ON COLUMN agent.pending_notifications.user_id IS 'Whom to reach.';
COMMENT ON COLUMN agent.pending_notifications.session_id IS 'The session that it is about, if any.';
COMMENT ON COLUMN agent.pending_notifications.kind IS 'The writer''s word for what it is.';
COMMENT ON COLUMN agent.pending_notifications.title IS 'A heading.';
COMMENT ON COLUMN agent.pending_notifications.content IS 'The text.';
COMMENT ON COLUMN agent.pending_notifications.data IS 'The writer''s own data.';
COMMENT ON COLUMN agent.pending_notifications.priority IS 'high, normal or low: the order of delivery at a connect.';
COMMENT ON COLUMN agent.pending_notifications.dedupe_key IS 'Unique a user.';
COMMENT ON COLUMN agent.pending_notifications.collapse_key IS 'Of several with the same key only the newest is here.';
COMMENT ON COLUMN agent.pending_notifications.deliver_after IS 'Not before this moment.';
COMMENT ON COLUMN agent.pending_notifications.expires_at IS 'Not after this moment.';
COMMENT ON COLUMN agent.pending_notifications.in_context IS 'Also becomes a message of that session.';
COMMENT ON COLUMN agent.pending_notifications.created_at IS 'When it was inserted.';
COMMENT ON COLUMN agent.pending_notifications.due IS 'Its moment has come: it is, or was, sent to whoever is connected.';

-- Those of some notifications that are to be delivered now. Each is looked up by itself and planned for at each call: else, while
-- the table has not been analyzed since it was small, every pending row is gone through.
CREATE FUNCTION agent.deliverable(p_ids uuid[]) RETURNS SETOF agent.pending_notifications
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT p.*
    FROM unnest(p_ids) AS k (id)
    CROSS JOIN LATERAL (SELECT * FROM agent.pending_notifications AS n WHERE n.notification_id = k.id LIMIT 1) AS p
    WHERE p.due;
END
$$;
COMMENT ON FUNCTION agent.deliverable IS 'Those of these notifications that are to be delivered now; called by the server only.';

-- What users spent, by day (UTC) and model.
CREATE VIEW agent.usage_daily WITH (security_invoker = true) AS
SELECT u.user_id, (u.created_at AT TIME ZONE 'UTC')::date AS day, u.model, count(*) AS answers,
       coalesce(sum(u.input_tokens), 0)::bigint AS input_tokens, coalesce(sum(u.output_tokens), 0)::bigint AS output_tokens,
       coalesce(sum(u.cost_usd), 0) AS cost_usd,
       count(*) FILTER (WHERE u.cost_usd IS NULL) AS answers_without_cost
FROM agent.usage AS u
GROUP BY u.user_id, (u.created_at AT TIME ZONE 'UTC')::date, u.model;
COMMENT ON VIEW agent.usage_daily IS 'What users spent: one row a user, day and model.';
COMMENT ON COLUMN agent.usage_daily.user_id IS 'Who asked.';
COMMENT ON COLUMN agent.usage_daily.day IS 'The day, in UTC.';
COMMENT ON COLUMN agent.usage_daily.model IS 'The model that answered.';
COMMENT ON COLUMN agent.usage_daily.answers IS 'Tries at answers, those that were tried again included.';
COMMENT ON COLUMN agent.usage_daily.input_tokens IS 'Tokens of the prompts.';
COMMENT ON COLUMN agent.usage_daily.output_tokens IS 'Tokens of the answers.';
COMMENT ON COLUMN agent.usage_daily.cost_usd IS 'What the provider charged, in US dollars.';
COMMENT ON COLUMN agent.usage_daily.answers_without_cost IS 'Tries whose cost is not known, or not known yet: they count nothing in cost_usd.';

-- Who is connected now, over all nodes that live.
CREATE VIEW agent.live_connections WITH (security_invoker = true) AS
SELECT c.user_id, c.session_id, s.title AS session_title, c.device_id, c.connection_id, c.node_id, c.connected_at
FROM agent.connections AS c
JOIN agent.nodes AS n ON n.node_id = c.node_id AND n.lease_until > statement_timestamp()
LEFT JOIN agent.sessions AS s ON s.user_id = c.user_id AND s.session_id = c.session_id;
COMMENT ON VIEW agent.live_connections IS 'Who is connected, as of a second ago, over all nodes that live.';
COMMENT ON COLUMN agent.live_connections.user_id IS 'Who.';
COMMENT ON COLUMN agent.live_connections.session_id IS 'The session that is shown.';
COMMENT ON COLUMN agent.live_connections.session_title IS 'Its title.';
COMMENT ON COLUMN agent.live_connections.device_id IS 'The client''s own name for the device, if it gave one.';
COMMENT ON COLUMN agent.live_connections.connection_id IS 'Which connection.';
COMMENT ON COLUMN agent.live_connections.node_id IS 'The process that holds it.';
COMMENT ON COLUMN agent.live_connections.connected_at IS 'Since when.';

-- What the model saw for each run, in its order. Below the operator's system prompt, which is a setting and not stored.
CREATE VIEW agent.prompt WITH (security_invoker = true) AS
SELECT r.user_id, r.session_id, r.run_id, r.query_message_id, r.answer_message_id, p.position, p.seq, m.role, m.content,
       m.message_id
FROM agent.runs AS r
CROSS JOIN LATERAL unnest(r.prompt_seqs) WITH ORDINALITY AS p (seq, position)
LEFT JOIN agent.messages AS m ON m.user_id = r.user_id AND m.session_id = r.session_id AND m.seq = p.seq;
COMMENT ON VIEW agent.prompt IS 'What the model saw for each run: one row a message, in the prompt''s order, below the system prompt.';
COMMENT ON COLUMN agent.prompt.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.prompt.session_id IS 'Which session.';
COMMENT ON COLUMN agent.prompt.run_id IS 'Which run.';
COMMENT ON COLUMN agent.prompt.query_message_id IS 'The question that the run answers.';
COMMENT ON COLUMN agent.prompt.answer_message_id IS 'The answer that it wrote.';
COMMENT ON COLUMN agent.prompt.position IS 'Place in the prompt: 1, 2, 3 …';
COMMENT ON COLUMN agent.prompt.seq IS 'Place of the message in the session.';
COMMENT ON COLUMN agent.prompt.role IS 'Whose it is; a notification was sent as data, marked as such.';
COMMENT ON COLUMN agent.prompt.content IS 'The text; null where retention has removed it since.';
COMMENT ON COLUMN agent.prompt.message_id IS 'The message.';

-- What the queries of docs/sql.md are run on: two users, of whom each has something in every table.
--
-- Node 1 lives and node 2 is dead. u_42: a conversation with an answer that was rated down and written again, a run that
-- failed, one that is running and one that waits. u_7: a run that was left behind by node 2. Times count back from now.

-- As Supabase has it, for GRANT agent_user TO authenticated. Roles belong to the server, which several tests seed at a time.
DO $$
BEGIN
    CREATE ROLE authenticated NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

INSERT INTO agent.nodes (started_at, lease_until, version) VALUES
    (now() - interval '5 hours', now() + interval '1 hour', '0.1.0'),
    (now() - interval '9 hours', now() - interval '4 hours', '0.1.0');

INSERT INTO agent.sessions (user_id, session_id, title, last_seq, active_run_id, fence, watchers, created_at, last_activity_at)
VALUES
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', 'Invoice 2024-117', 8, '00000000-0000-7000-8000-0000000000a4', 4, '{1}',
     now() - interval '2 days', now() - interval '1 minute'),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', 'Refund', 3, '00000000-0000-7000-8000-0000000000b2', 2, '{}',
     now() - interval '6 hours', now() - interval '5 hours');

INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, state, in_reply_to, run_id,
                            model, finish_reason, error_code, input_tokens, output_tokens, cost_usd, created_at)
SELECT 'u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', m.seq, m.message_id, m.client_id, m.role, m.content, m.state,
       m.in_reply_to, m.run_id, m.model, m.finish_reason, m.error_code, m.input_tokens, m.output_tokens, m.cost_usd,
       now() - m.age
FROM (VALUES
    (1, '01a1fb21-3104-7568-9f00-554ebf05f56b'::uuid, 'q1', 'user', 'Where is invoice 2024-117?', 'complete', NULL::uuid,
     '00000000-0000-7000-8000-0000000000a1'::uuid, NULL, NULL, NULL, NULL, NULL, NULL::numeric, interval '2 days'),
    (2, '01a1fb21-3104-7568-9f00-55509d4bd0a3', NULL, 'assistant', 'I cannot find that invoice.', 'complete',
     '01a1fb21-3104-7568-9f00-554ebf05f56b', '00000000-0000-7000-8000-0000000000a1', 'openai/gpt-4-turbo', 'stop', NULL, 120,
     40, 0.0021, interval '47 hours 59 minutes'),
    (3, '01a1fb21-3104-7568-9f00-55509d4bd0a4', NULL, 'assistant', 'It was sent on 3 May, to your accounting address.',
     'complete', '01a1fb21-3104-7568-9f00-554ebf05f56b', '00000000-0000-7000-8000-0000000000a2', 'openai/gpt-4-turbo', 'stop',
     NULL, 120, 60, 0.0030, interval '47 hours 50 minutes'),
    (4, '01a1fb21-3104-7568-9f00-55509d4bd0a5', 'q2', 'user', 'When is it due?', 'complete', NULL,
     '00000000-0000-7000-8000-0000000000a3', NULL, NULL, NULL, NULL, NULL, NULL, interval '1 day'),
    (5, '01a1fb21-3104-7568-9f00-55509d4bd0a6', NULL, 'assistant', '', 'failed', '01a1fb21-3104-7568-9f00-55509d4bd0a5',
     '00000000-0000-7000-8000-0000000000a3', NULL, NULL, 'provider_timeout', NULL, NULL, NULL, interval '23 hours 59 minutes'),
    (6, '01a1fb21-3104-7568-9f00-55509d4bd0a7', NULL, 'notification', 'Invoice 2024-117 was paid.', 'complete', NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, interval '20 hours'),
    (7, '01a1fb21-3104-7568-9f00-55509d4bd0a8', 'q3', 'user', 'And the reminder?', 'complete', NULL,
     '00000000-0000-7000-8000-0000000000a4', NULL, NULL, NULL, NULL, NULL, NULL, interval '2 minutes'),
    (8, '01a1fb21-3104-7568-9f00-55509d4bd0a9', 'q4', 'user', 'Thank you.', 'complete', NULL,
     '00000000-0000-7000-8000-0000000000a5', NULL, NULL, NULL, NULL, NULL, NULL, interval '1 minute')
) AS m (seq, message_id, client_id, role, content, state, in_reply_to, run_id, model, finish_reason, error_code, input_tokens,
        output_tokens, cost_usd, age);

INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, in_reply_to, run_id, model,
                            created_at)
VALUES
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', 1, '01a1fb27-8739-76e2-a6f8-a808af0fbf6b', 'q1', 'user',
     'Refund order 9, I paid the invoice twice.', NULL, '00000000-0000-7000-8000-0000000000b1', NULL, now() - interval '6 hours'),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', 2, '01a1fb27-8739-76e2-a6f8-a808af0fbf6c', NULL, 'assistant', 'Done.',
     '01a1fb27-8739-76e2-a6f8-a808af0fbf6b', '00000000-0000-7000-8000-0000000000b1', 'openai/gpt-4-turbo',
     now() - interval '6 hours'),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', 3, '01a1fb27-8739-76e2-a6f8-a808af0fbf6d', 'q2', 'user', 'Are you sure?',
     NULL, '00000000-0000-7000-8000-0000000000b2', NULL, now() - interval '5 hours');

INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id, priority,
                        queue_order, attempt, fence, node_id, model, error_code, prompt_seqs, prompt_tokens, queued_at,
                        started_at, first_token_at, ended_at)
SELECT r.user_id, s.session_id, r.run_id, r.state, r.query, r.query_seq, r.answer, 2, r.query_seq, r.attempt, r.fence, r.node_id,
       r.model, r.error_code, r.prompt, 120, now() - r.age, now() - r.age + r.waited, now() - r.age + r.waited + r.first,
       now() - r.age + r.waited + r.took
FROM (VALUES
    ('u_42', '00000000-0000-7000-8000-0000000000a1'::uuid, 'complete', '01a1fb21-3104-7568-9f00-554ebf05f56b'::uuid, 1,
     '01a1fb21-3104-7568-9f00-55509d4bd0a3'::uuid, 1, 1, 1, 'openai/gpt-4-turbo', NULL, '{1}'::bigint[], interval '2 days',
     interval '10 ms', interval '800 ms', interval '4 s'),
    ('u_42', '00000000-0000-7000-8000-0000000000a2', 'complete', '01a1fb21-3104-7568-9f00-554ebf05f56b', 1,
     '01a1fb21-3104-7568-9f00-55509d4bd0a4', 1, 2, 1, 'openai/gpt-4-turbo', NULL, '{1}', interval '47 hours 51 minutes',
     interval '5 ms', interval '12 s', interval '40 s'),
    ('u_42', '00000000-0000-7000-8000-0000000000a3', 'failed', '01a1fb21-3104-7568-9f00-55509d4bd0a5', 4,
     '01a1fb21-3104-7568-9f00-55509d4bd0a6', 2, 3, 1, NULL, 'provider_timeout', '{1,3,4}', interval '1 day', interval '5 ms',
     NULL, interval '60 s'),
    ('u_42', '00000000-0000-7000-8000-0000000000a4', 'running', '01a1fb21-3104-7568-9f00-55509d4bd0a8', 7,
     '01a1fb21-3104-7568-9f00-55509d4bd0b1', 1, 4, 1, NULL, NULL, '{1,3,6,7}', interval '2 minutes', interval '5 ms',
     interval '1 s', NULL),
    ('u_42', '00000000-0000-7000-8000-0000000000a5', 'queued', '01a1fb21-3104-7568-9f00-55509d4bd0a9', 8,
     '01a1fb21-3104-7568-9f00-55509d4bd0b2', 0, 0, NULL, NULL, NULL, NULL, interval '1 minute', NULL, NULL, NULL),
    ('u_7', '00000000-0000-7000-8000-0000000000b1', 'complete', '01a1fb27-8739-76e2-a6f8-a808af0fbf6b', 1,
     '01a1fb27-8739-76e2-a6f8-a808af0fbf6c', 1, 1, 2, 'openai/gpt-4-turbo', NULL, '{1}', interval '6 hours', interval '5 ms',
     interval '500 ms', interval '2 s'),
    ('u_7', '00000000-0000-7000-8000-0000000000b2', 'running', '01a1fb27-8739-76e2-a6f8-a808af0fbf6d', 3,
     '01a1fb27-8739-76e2-a6f8-a808af0fbf6e', 1, 2, 2, NULL, NULL, '{1,2,3}', interval '5 hours', interval '5 ms', NULL, NULL)
) AS r (user_id, run_id, state, query, query_seq, answer, attempt, fence, node_id, model, error_code, prompt, age, waited, first,
        took)
JOIN agent.sessions AS s ON s.user_id = r.user_id;

-- The answer that was written again is told in a trace.
UPDATE agent.runs SET trace_id = '4bf92f3577b34da6a3ce929d0e0e4736' WHERE run_id = '00000000-0000-7000-8000-0000000000a2';

INSERT INTO agent.chunks (user_id, session_id, run_id, attempt, start_at, content) VALUES
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '00000000-0000-7000-8000-0000000000a4', 1, 0, 'The reminder '),
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '00000000-0000-7000-8000-0000000000a4', 1, 13, 'went out '),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', '00000000-0000-7000-8000-0000000000b2', 1, 0, 'I am ');

INSERT INTO agent.feedback (user_id, session_id, message_id, rating, comment, correction, tags) VALUES
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '01a1fb21-3104-7568-9f00-55509d4bd0a3', -1, 'I have it in front of me',
     'It was sent on 3 May.', '{wrong}'),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', '01a1fb27-8739-76e2-a6f8-a808af0fbf6c', 1, NULL, NULL, '{}');

INSERT INTO agent.usage (user_id, session_id, run_id, attempt, model, source, input_tokens, output_tokens, cost_usd, created_at)
VALUES
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '00000000-0000-7000-8000-0000000000a1', 1, 'openai/gpt-4-turbo', 'provider',
     120, 40, 0.0021, now() - interval '2 days'),
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '00000000-0000-7000-8000-0000000000a2', 1, 'openai/gpt-4-turbo', 'provider',
     120, 60, 0.0030, now() - interval '47 hours'),
    ('u_7', '01a1fb27-8487-71b4-b230-610a094de57d', '00000000-0000-7000-8000-0000000000b1', 1, 'openai/gpt-4-turbo', 'estimated',
     90, 3, NULL, now());

INSERT INTO agent.notifications (user_id, session_id, kind, title, content, dedupe_key, in_context, created_at, acknowledged_at,
                                 deliver_after)
VALUES
    ('u_42', NULL, 'deploy', 'Deployment', 'Deployed to production', 'deploy-1', false, now() - interval '3 hours', NULL, NULL),
    ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', 'invoice', NULL, 'Invoice 2024-117 was paid.', 'paid-117', true,
     now() - interval '20 hours', now() - interval '19 hours', NULL),
    ('u_42', NULL, 'reminder', NULL, 'Reminder: call Ms Ito', NULL, false, now(), NULL, now() + interval '1 day'),
    ('u_7', NULL, 'message', NULL, 'Your refund is on its way', 'refund-9', false, now() - interval '1 hour', NULL, NULL);

INSERT INTO agent.connections (connection_id, node_id, user_id, session_id, device_id, connected_at) VALUES
    ('01a1fb1d-b4ac-7107-aced-107b5bb2b96a', 1, 'u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', 'phone', now() - interval '9 minutes'),
    ('01a1fb1d-b4ac-7107-aced-107b5bb2b96b', 1, 'u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', 'laptop', now() - interval '1 hour'),
    ('01a1fb1d-b4ac-7107-aced-107b5bb2b96c', 1, 'u_7', '01a1fb27-8487-71b4-b230-610a094de57d', NULL, now() - interval '5 minutes'),
    ('01a1fb1d-b4ac-7107-aced-107b5bb2b96d', 2, 'u_7', '01a1fb27-8487-71b4-b230-610a094de57d', NULL, now() - interval '8 hours');

INSERT INTO agent.reservations (user_id, session_id, run_id, tokens, cost_usd)
VALUES ('u_42', '01a1fb21-2c73-71b8-a89e-a54c8f823890', '00000000-0000-7000-8000-0000000000a2', 17500, 0.1);

INSERT INTO agent.tickets (ticket_hash, user_id, token_expires_at, expires_at)
VALUES (sha256('a ticket'), 'u_7', now() + interval '1 hour', now() + interval '30 seconds');

SELECT agent.revoke(user_id => 'u_13');

SELECT agent.index_messages(1000);

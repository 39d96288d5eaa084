-- The log: messages (for ever), runs (what produced them), chunks (text of the answer being written; minutes).
-- No foreign keys: they took 29 % of the append rate, and the append joins sessions, so orphans cannot be written;
-- deleting a session deletes by key in one transaction.

CREATE TABLE agent.messages (
    user_id         text COLLATE "C" NOT NULL,
    session_id      uuid NOT NULL,
    seq             bigint NOT NULL,
    message_id      uuid NOT NULL,
    client_id       text,
    role            text NOT NULL CHECK (role IN ('user', 'assistant', 'notification')),
    content         text NOT NULL,
    state           text NOT NULL DEFAULT 'complete' CHECK (state IN ('complete', 'cancelled', 'incomplete', 'failed')),
    in_reply_to     uuid,
    run_id          uuid,
    notification_id uuid,
    model           text,
    finish_reason   text,
    error_code      text,
    input_tokens    bigint,
    output_tokens   bigint,
    cost_usd        numeric(14, 8),
    metadata        jsonb,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, session_id, seq)
);
-- Makes a send idempotent for as long as the message exists.
CREATE UNIQUE INDEX messages_client_id ON agent.messages (user_id, session_id, client_id) WHERE client_id IS NOT NULL;
-- For retention, for the search index and for people who look by date: nearly free to maintain.
CREATE INDEX messages_created_at ON agent.messages USING brin (created_at) WITH (autosummarize = on);

COMMENT ON TABLE agent.messages IS 'What was said, in order. Rows are never changed.';
COMMENT ON COLUMN agent.messages.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.messages.session_id IS 'Which session.';
COMMENT ON COLUMN agent.messages.seq IS 'Place in the session: 1, 2, 3 … without gaps, in the order of commit.';
COMMENT ON COLUMN agent.messages.message_id IS 'The message''s id.';
COMMENT ON COLUMN agent.messages.client_id IS 'The id that the client gave its query.';
COMMENT ON COLUMN agent.messages.role IS 'user, assistant, or notification (data that another service put into the conversation).';
COMMENT ON COLUMN agent.messages.content IS 'The text.';
COMMENT ON COLUMN agent.messages.state IS 'complete; or, of answers: cancelled, incomplete (some text, then a fault), failed (no text).';
COMMENT ON COLUMN agent.messages.in_reply_to IS 'Of answers: the query''s message_id.';
COMMENT ON COLUMN agent.messages.run_id IS 'The run that answers this query, or that wrote this answer.';
COMMENT ON COLUMN agent.messages.notification_id IS 'Of notifications in the conversation: the row in agent.notifications.';
COMMENT ON COLUMN agent.messages.model IS 'Of answers: the model that wrote it.';
COMMENT ON COLUMN agent.messages.finish_reason IS 'Of answers: the provider''s reason for the end.';
COMMENT ON COLUMN agent.messages.error_code IS 'Of answers that are not complete: the code that clients were told.';
COMMENT ON COLUMN agent.messages.input_tokens IS 'Of answers: tokens of the prompt, as the provider counted.';
COMMENT ON COLUMN agent.messages.output_tokens IS 'Of answers: tokens of the answer, as the provider counted.';
COMMENT ON COLUMN agent.messages.cost_usd IS 'Of answers: what the provider charged, in US dollars.';
COMMENT ON COLUMN agent.messages.metadata IS 'The client''s own data, at most 4 KiB.';
COMMENT ON COLUMN agent.messages.created_at IS 'When it was stored, by the database''s clock.';

CREATE TABLE agent.runs (
    user_id                text COLLATE "C" NOT NULL,
    session_id             uuid NOT NULL,
    run_id                 uuid NOT NULL,
    state                  text NOT NULL CHECK (state IN ('queued', 'running', 'complete', 'cancelled', 'incomplete', 'failed')),
    client_id              text,
    query_message_id       uuid NOT NULL,
    query_seq              bigint NOT NULL,
    answer_message_id      uuid NOT NULL,
    requested_model        text,
    priority               smallint NOT NULL,
    queue_order            bigint NOT NULL,
    attempt                integer NOT NULL DEFAULT 0,
    fence                  bigint NOT NULL DEFAULT 0,
    node_id                integer,
    cancel_requested_at    timestamptz,
    model                  text,
    provider_generation_id text,
    finish_reason          text,
    error_code             text,
    prompt_seqs            bigint[],
    prompt_tokens          integer,
    queued_at              timestamptz NOT NULL,
    started_at             timestamptz,
    first_token_at         timestamptz,
    ended_at               timestamptz,
    PRIMARY KEY (user_id, session_id, run_id)
);
-- One active run a session is impossible to break rather than unlikely; the index also counts a user's active runs.
CREATE UNIQUE INDEX runs_running ON agent.runs (user_id, session_id) WHERE state = 'running';
-- The waiting runs of a session in the order in which they will run.
CREATE INDEX runs_queued ON agent.runs (user_id, session_id, priority, queue_order) WHERE state = 'queued';
-- The runs of a node: its cancellations, and what it left behind when its lease runs out.
CREATE INDEX runs_of_node ON agent.runs (node_id) WHERE state = 'running';
-- A regenerate command is idempotent by its id, like a query.
CREATE UNIQUE INDEX runs_client_id ON agent.runs (user_id, session_id, client_id) WHERE client_id IS NOT NULL;

COMMENT ON TABLE agent.runs IS 'Work on an answer: queued, running, then one terminal state that stands.';
COMMENT ON COLUMN agent.runs.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.runs.session_id IS 'Which session.';
COMMENT ON COLUMN agent.runs.run_id IS 'Which run.';
COMMENT ON COLUMN agent.runs.state IS 'queued, running; complete, cancelled, incomplete (some text, then a fault), failed (no text).';
COMMENT ON COLUMN agent.runs.client_id IS 'The id of the regenerate command that asked for it; null for queries, whose id is on the message.';
COMMENT ON COLUMN agent.runs.query_message_id IS 'The question.';
COMMENT ON COLUMN agent.runs.query_seq IS 'The question''s place in the session.';
COMMENT ON COLUMN agent.runs.answer_message_id IS 'The answer''s message_id, fixed before its first word.';
COMMENT ON COLUMN agent.runs.requested_model IS 'Model that the query asked for; null for the session''s or the default.';
COMMENT ON COLUMN agent.runs.priority IS '-1 to be tried again, 0 interrupt, 1 high, 2 normal, 3 low.';
COMMENT ON COLUMN agent.runs.queue_order IS 'Order among waiting runs of one priority; where it is equal (a new answer asked for, then a query), by run_id, which grows.';
COMMENT ON COLUMN agent.runs.attempt IS 'How often it was started.';
COMMENT ON COLUMN agent.runs.fence IS 'The session''s fence when it was claimed; writes with another are refused.';
COMMENT ON COLUMN agent.runs.node_id IS 'The process that runs it.';
COMMENT ON COLUMN agent.runs.cancel_requested_at IS 'When somebody asked to stop it.';
COMMENT ON COLUMN agent.runs.model IS 'The model that answered.';
COMMENT ON COLUMN agent.runs.provider_generation_id IS 'The provider''s handle on this generation, for its cost.';
COMMENT ON COLUMN agent.runs.finish_reason IS 'The provider''s reason for the end.';
COMMENT ON COLUMN agent.runs.error_code IS 'The code that clients were told, where it did not complete.';
COMMENT ON COLUMN agent.runs.prompt_seqs IS 'seq of each message that the model saw, in the prompt''s order.';
COMMENT ON COLUMN agent.runs.prompt_tokens IS 'Estimated tokens of that prompt.';
COMMENT ON COLUMN agent.runs.queued_at IS 'When it was asked for.';
COMMENT ON COLUMN agent.runs.started_at IS 'When it was last started.';
COMMENT ON COLUMN agent.runs.first_token_at IS 'When the first text came.';
COMMENT ON COLUMN agent.runs.ended_at IS 'When it reached its terminal state.';

CREATE TABLE agent.chunks (
    user_id    text COLLATE "C" NOT NULL,
    session_id uuid NOT NULL,
    run_id     uuid NOT NULL,
    attempt    integer NOT NULL,
    start_at   integer NOT NULL,
    content    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, session_id, run_id, attempt, start_at)
);
-- Removed by age in bulk.
CREATE INDEX chunks_created_at ON agent.chunks USING brin (created_at);

COMMENT ON TABLE agent.chunks IS 'Text of answers being written, written behind in bulk; kept for minutes after the answer is whole.';
COMMENT ON COLUMN agent.chunks.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.chunks.session_id IS 'Which session.';
COMMENT ON COLUMN agent.chunks.run_id IS 'Which run writes it.';
COMMENT ON COLUMN agent.chunks.attempt IS 'Which try at the answer.';
COMMENT ON COLUMN agent.chunks.start_at IS 'Where it stands in the answer, in bytes of UTF-8.';
COMMENT ON COLUMN agent.chunks.content IS 'The text.';
COMMENT ON COLUMN agent.chunks.created_at IS 'When it was stored.';

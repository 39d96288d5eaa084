-- The schema, the processes that serve it, and the sessions.
-- Every table of the log has the key (user_id, session_id, …): locality on disk, isolation in the key itself, and ready
-- to be distributed or partitioned by user. user_id is the verified token's subject, verbatim, compared by bytes.

CREATE SCHEMA IF NOT EXISTS agent;
COMMENT ON SCHEMA agent IS 'Agent WebSocket: sessions, messages, runs and notifications. A supported interface: see docs.';

CREATE TABLE agent.nodes (
    node_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    version     text NOT NULL
);
COMMENT ON TABLE agent.nodes IS 'Server processes. A new row at each start; removed some time after its lease has run out.';
COMMENT ON COLUMN agent.nodes.node_id IS 'Number of the process; its NOTIFY channel is agent_node_<node_id>.';
COMMENT ON COLUMN agent.nodes.started_at IS 'When the process started, by the database''s clock.';
COMMENT ON COLUMN agent.nodes.lease_until IS 'Until when its runs are its own; renewed every few seconds while it lives.';
COMMENT ON COLUMN agent.nodes.version IS 'Version of the program.';

CREATE TABLE agent.sessions (
    user_id           text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    session_id        uuid NOT NULL,
    title             text,
    model             text,
    metadata          jsonb NOT NULL DEFAULT '{}',
    first_seq         bigint NOT NULL DEFAULT 1,
    last_seq          bigint NOT NULL DEFAULT 0,
    stored_bytes      bigint NOT NULL DEFAULT 0,
    context_after_seq bigint NOT NULL DEFAULT 0,
    active_run_id     uuid,
    fence             bigint NOT NULL DEFAULT 0,
    watchers          integer[] NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    last_activity_at  timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    PRIMARY KEY (user_id, session_id)
    -- Updated at every append: half-full pages and no index on what changes keep those updates on their page (HOT).
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
-- Finds a session's owner where only its id is known (the original notify function's sessionId).
CREATE INDEX sessions_by_id ON agent.sessions (session_id);

COMMENT ON TABLE agent.sessions IS 'Conversations. The row''s lock orders everything that happens in one.';
COMMENT ON COLUMN agent.sessions.user_id IS 'Whose it is: the token''s subject.';
COMMENT ON COLUMN agent.sessions.session_id IS 'Which one (UUID version 7).';
COMMENT ON COLUMN agent.sessions.title IS 'Given by the user, or the beginning of the first question.';
COMMENT ON COLUMN agent.sessions.model IS 'Model chosen for this session; null for the operator''s default.';
COMMENT ON COLUMN agent.sessions.metadata IS 'The client''s own data, at most 4 KiB.';
COMMENT ON COLUMN agent.sessions.first_seq IS 'seq of the oldest message that is still kept; 1 unless retention has removed some.';
COMMENT ON COLUMN agent.sessions.stored_bytes IS 'Bytes of the texts of its messages.';
COMMENT ON COLUMN agent.sessions.last_seq IS 'seq of the newest message; 0 when there is none.';
COMMENT ON COLUMN agent.sessions.context_after_seq IS 'The model sees only turns asked after this seq (command clear).';
COMMENT ON COLUMN agent.sessions.active_run_id IS 'The run in progress, if any: at most one.';
COMMENT ON COLUMN agent.sessions.fence IS 'Raised whenever a run is claimed; later writes of an earlier owner are refused.';
COMMENT ON COLUMN agent.sessions.watchers IS 'Nodes that show this session to somebody: they are told of changes.';
COMMENT ON COLUMN agent.sessions.created_at IS 'When it was created.';
COMMENT ON COLUMN agent.sessions.last_activity_at IS 'When something was last written to it.';

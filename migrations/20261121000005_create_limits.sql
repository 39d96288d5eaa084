-- What users may spend in a day, over all nodes: money and tokens are debited before a run and settled by what it took.

CREATE TABLE agent.reservations (
    user_id    text COLLATE "C" NOT NULL,
    session_id uuid NOT NULL,
    run_id     uuid NOT NULL,
    tokens     bigint NOT NULL,
    cost_usd   numeric(14, 8) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, session_id, run_id)
);
CREATE INDEX reservations_created_at ON agent.reservations USING brin (created_at) WITH (autosummarize = on);

COMMENT ON TABLE agent.reservations IS 'What was set aside for runs of users with a daily limit. It counts while the run waits or runs; then what the run took counts, in agent.usage.';
COMMENT ON COLUMN agent.reservations.user_id IS 'Who asked.';
COMMENT ON COLUMN agent.reservations.session_id IS 'In which session.';
COMMENT ON COLUMN agent.reservations.run_id IS 'For which run.';
COMMENT ON COLUMN agent.reservations.tokens IS 'The most tokens that it may take: prompt and answer.';
COMMENT ON COLUMN agent.reservations.cost_usd IS 'The money set aside, in US dollars; also what counts where the provider never says the cost.';
COMMENT ON COLUMN agent.reservations.created_at IS 'When it was set aside.';

-- Sets tokens and money aside for a run, unless the user's day has no room for it; then the limit's name. One at a time for
-- each user, so that many sockets on many nodes cannot spend the same money. A limit of 0 is none.
CREATE FUNCTION agent.reserve(
    p_user text, p_session uuid, p_run uuid, p_tokens bigint, p_cost double precision, p_max_tokens bigint,
    p_max_cost double precision
) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- Days are those of UTC, as in agent.usage_daily.
    day_began timestamptz := date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    spent     record;
    reserved  record;
    over      text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('agent.reserve ' || p_user, 0));
    -- A cost that is not known, or not yet, counts as what was set aside.
    SELECT coalesce(sum(u.input_tokens), 0) + coalesce(sum(u.output_tokens), 0) AS tokens,
           coalesce(sum(coalesce(u.cost_usd, r.cost_usd, 0)), 0) AS cost
    INTO spent
    FROM agent.usage AS u
    LEFT JOIN agent.reservations AS r
           ON r.user_id = u.user_id AND r.session_id = u.session_id AND r.run_id = u.run_id
    WHERE u.user_id = p_user AND u.created_at >= day_began;
    -- Of runs that are not over; one that is not there yet is being stored.
    SELECT coalesce(sum(r.tokens), 0) AS tokens, coalesce(sum(r.cost_usd), 0) AS cost
    INTO reserved
    FROM agent.reservations AS r
    LEFT JOIN agent.runs AS run
           ON run.user_id = r.user_id AND run.session_id = r.session_id AND run.run_id = r.run_id
    WHERE r.user_id = p_user
      AND CASE WHEN run.run_id IS NULL THEN r.created_at > clock_timestamp() - interval '1 minute'
               ELSE run.state IN ('queued', 'running') END;
    over := CASE
        WHEN p_max_tokens > 0 AND spent.tokens + reserved.tokens + p_tokens > p_max_tokens THEN 'tokens_per_day'
        WHEN p_max_cost > 0 AND spent.cost + reserved.cost + p_cost::numeric > p_max_cost::numeric THEN 'cost_per_day'
    END;
    IF over IS NULL THEN
        INSERT INTO agent.reservations (user_id, session_id, run_id, tokens, cost_usd)
        VALUES (p_user, p_session, p_run, p_tokens, p_cost::numeric);
    END IF;
    RETURN over;
END
$$;
COMMENT ON FUNCTION agent.reserve IS 'Sets tokens and money aside for a run; called by the server only.';

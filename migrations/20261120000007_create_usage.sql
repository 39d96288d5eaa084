-- What answers took, an append-only money trail: it outlives the messages, and holds one row for each try at an answer.

CREATE TABLE agent.usage (
    user_id                text COLLATE "C" NOT NULL,
    session_id             uuid NOT NULL,
    run_id                 uuid NOT NULL,
    attempt                integer NOT NULL,
    model                  text,
    provider_generation_id text,
    source                 text NOT NULL CHECK (source IN ('provider', 'estimated', 'reconciled')),
    input_tokens           bigint,
    output_tokens          bigint,
    cost_usd               numeric(14, 8),
    created_at             timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    reconcile_at           timestamptz,
    reconcile_tries        smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, session_id, run_id, attempt)
);
-- A user's spending by day.
CREATE INDEX usage_by_user ON agent.usage (user_id, created_at);
-- What the provider is still to be asked about.
CREATE INDEX usage_unreconciled ON agent.usage (reconcile_at) WHERE reconcile_at IS NOT NULL;

COMMENT ON TABLE agent.usage IS 'What each try at an answer took: tokens and money.';
COMMENT ON COLUMN agent.usage.user_id IS 'Who asked.';
COMMENT ON COLUMN agent.usage.session_id IS 'In which session.';
COMMENT ON COLUMN agent.usage.run_id IS 'Which run.';
COMMENT ON COLUMN agent.usage.attempt IS 'Which try.';
COMMENT ON COLUMN agent.usage.model IS 'The model that answered.';
COMMENT ON COLUMN agent.usage.provider_generation_id IS 'The provider''s handle on the generation.';
COMMENT ON COLUMN agent.usage.source IS 'provider: said with the answer; estimated: the stream ended early; reconciled: asked afterwards.';
COMMENT ON COLUMN agent.usage.input_tokens IS 'Tokens of the prompt.';
COMMENT ON COLUMN agent.usage.output_tokens IS 'Tokens of the answer.';
COMMENT ON COLUMN agent.usage.cost_usd IS 'What the provider charged, in US dollars; null while unknown.';
COMMENT ON COLUMN agent.usage.created_at IS 'When the try ended.';
COMMENT ON COLUMN agent.usage.reconcile_at IS 'When the provider is next asked what it took; null when there is nothing to ask.';
COMMENT ON COLUMN agent.usage.reconcile_tries IS 'How often it was asked.';

-- A try that ends without its answer (released, or its process died) may have cost money too.
CREATE FUNCTION agent.note_lost_try(p_user text, p_session uuid, p_run uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO agent.usage (user_id, session_id, run_id, attempt, model, provider_generation_id, source, input_tokens,
                             reconcile_at)
    SELECT r.user_id, r.session_id, r.run_id, r.attempt, r.requested_model, r.provider_generation_id, 'estimated',
           r.prompt_tokens, clock_timestamp() + interval '2 seconds'
    FROM agent.runs AS r
    WHERE r.user_id = p_user AND r.session_id = p_session AND r.run_id = p_run AND r.provider_generation_id IS NOT NULL
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION agent.note_lost_try IS 'Records a try that may have cost money; called by the server only.';

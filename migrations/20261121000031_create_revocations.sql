-- What operators revoke: the tokens of a user, one token, or all that were issued before a moment. Every node holds the list in
-- memory and reads what is new twice a second, and on a hint; so a revocation takes effect within a second, and no request asks.

CREATE TABLE agent.revocations (
    revocation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Not user_id: agent.erase_user would remove it, and a revoked token would be good again.
    subject       text COLLATE "C" CHECK (octet_length(subject) BETWEEN 1 AND 255),
    token_id      text COLLATE "C" CHECK (octet_length(token_id) BETWEEN 1 AND 255),
    issued_before timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL DEFAULT clock_timestamp() + interval '400 days',
    inserted_by   xid8 NOT NULL DEFAULT pg_current_xact_id()
);
-- What is new since a node last looked: by transaction, so that one which commits late is not passed over.
CREATE INDEX revocations_inserted_by ON agent.revocations (inserted_by);
-- Whose runs have to stop.
CREATE INDEX revocations_subject ON agent.revocations (subject) WHERE token_id IS NULL;
-- What is swept away.
CREATE INDEX revocations_expires_at ON agent.revocations (expires_at);

COMMENT ON TABLE agent.revocations IS 'Tokens that are not accepted any more: SELECT agent.revoke(user_id => ''u_42''). To lift one, delete its row; that takes ten seconds.';
COMMENT ON COLUMN agent.revocations.revocation_id IS 'Which revocation.';
COMMENT ON COLUMN agent.revocations.subject IS 'Whose tokens: a user_id. Null: everybody''s. Kept when the user is erased, until it expires.';
COMMENT ON COLUMN agent.revocations.token_id IS 'Only the token with this jti. Null: all that were issued before issued_before.';
COMMENT ON COLUMN agent.revocations.issued_before IS 'Tokens whose iat is earlier, or that have none. Without meaning where token_id is given.';
COMMENT ON COLUMN agent.revocations.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN agent.revocations.expires_at IS 'When the tokens have ended by themselves, and the row can go.';
COMMENT ON COLUMN agent.revocations.inserted_by IS 'The inserting transaction: how nodes find what is new. Leave it alone.';

-- Tells the nodes to look at once instead of within half a second.
CREATE FUNCTION agent.revocations_hint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('agent_revocations', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agent.revocations_hint IS 'Tells the nodes to look at agent.revocations.';
CREATE TRIGGER revocations_hint AFTER INSERT ON agent.revocations
    FOR EACH STATEMENT EXECUTE FUNCTION agent.revocations_hint();

-- Revokes, from now on: a user's tokens that were issued until now (or before another moment; 'infinity' for those to come, too); one
-- token, by its jti, of this user or of whomever; or everybody's that were issued before a moment. Running and waiting answers of
-- a user whose tokens are revoked are stopped by the nodes. Returns the row's id.
CREATE FUNCTION agent.revoke(
    user_id       text DEFAULT NULL,
    token_id      text DEFAULT NULL,
    issued_before timestamptz DEFAULT NULL,
    expires_at    timestamptz DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment  timestamptz := clock_timestamp();
    revoked uuid;
BEGIN
    IF token_id IS NOT NULL AND issued_before IS NOT NULL THEN
        RAISE EXCEPTION 'a token is revoked whenever it was issued: name token_id or issued_before'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF user_id IS NULL AND token_id IS NULL AND issued_before IS NULL THEN
        RAISE EXCEPTION 'say what to revoke: user_id, token_id or issued_before'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF user_id IS NULL AND issued_before > moment THEN
        RAISE EXCEPTION 'nobody could connect any more: without a user_id, issued_before must not be in the future'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF expires_at <= moment THEN
        RAISE EXCEPTION 'expires_at is over' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO agent.revocations AS r (subject, token_id, issued_before, revoked_at, expires_at)
    VALUES ($1, $2, coalesce($3, moment), moment,
            -- Longer than the longest token that this program makes; a user who is shut out stays so.
            coalesce($4, CASE WHEN $3 = 'infinity' THEN 'infinity' ELSE moment + interval '400 days' END))
    RETURNING r.revocation_id INTO revoked;
    RETURN revoked;
END
$$;
COMMENT ON FUNCTION agent.revoke IS 'Revokes tokens on every node within a second: agent.revoke(user_id => ''u_42''), agent.revoke(token_id => ''…''), agent.revoke(issued_before => ''2026-12-01T08:00:00Z'').';

-- Tickets: what stands in for a token in a URL, once and for half a minute. Whoever holds one may connect on any node.

CREATE TABLE agent.tickets (
    ticket_hash      bytea PRIMARY KEY CHECK (octet_length(ticket_hash) = 32),
    user_id          text COLLATE "C" NOT NULL,
    token_id         text,
    token_issued_at  timestamptz,
    token_expires_at timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz NOT NULL
);
-- How many a user holds, and whose they were when a user is erased.
CREATE INDEX tickets_of_user ON agent.tickets (user_id);
-- What is swept away.
CREATE INDEX tickets_expires_at ON agent.tickets (expires_at);

COMMENT ON TABLE agent.tickets IS 'Tickets that were not used yet, by their hash. Using one removes it.';
COMMENT ON COLUMN agent.tickets.ticket_hash IS 'SHA-256 of the ticket''s text: the ticket itself is nowhere.';
COMMENT ON COLUMN agent.tickets.user_id IS 'Whose it is.';
COMMENT ON COLUMN agent.tickets.token_id IS 'jti of the token that it was made with: revoking that revokes the ticket, and the socket.';
COMMENT ON COLUMN agent.tickets.token_issued_at IS 'iat of that token.';
COMMENT ON COLUMN agent.tickets.token_expires_at IS 'exp of that token: the socket ends with it.';
COMMENT ON COLUMN agent.tickets.created_at IS 'When it was made.';
COMMENT ON COLUMN agent.tickets.expires_at IS 'Until when it can be used.';

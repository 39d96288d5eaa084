-- What people think of answers. One row a message; sent again it replaces.

CREATE TABLE agent.feedback (
    user_id    text COLLATE "C" NOT NULL,
    session_id uuid NOT NULL,
    message_id uuid NOT NULL,
    rating     smallint CHECK (rating BETWEEN -1 AND 1),
    comment    text,
    correction text,
    tags       text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    updated_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    PRIMARY KEY (user_id, session_id, message_id)
);
COMMENT ON TABLE agent.feedback IS 'Ratings, comments and corrections of answers.';
COMMENT ON COLUMN agent.feedback.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.feedback.session_id IS 'Which session.';
COMMENT ON COLUMN agent.feedback.message_id IS 'The answer.';
COMMENT ON COLUMN agent.feedback.rating IS '-1 down, 0 neutral, 1 up.';
COMMENT ON COLUMN agent.feedback.comment IS 'A comment.';
COMMENT ON COLUMN agent.feedback.correction IS 'What the answer should have been.';
COMMENT ON COLUMN agent.feedback.tags IS 'Short labels.';
COMMENT ON COLUMN agent.feedback.created_at IS 'When it was first given.';
COMMENT ON COLUMN agent.feedback.updated_at IS 'When it was last given.';

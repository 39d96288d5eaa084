-- Full-text search over a user's own history. A GIN index on the messages themselves took the append to a quarter of its
-- rate (measured: batches of 64 rows on two connections, 160,000 → 38,000 rows/s), so the index is a table of its own,
-- written behind in bulk; what is not in it yet is read from the messages, so a search misses nothing.

CREATE TABLE agent.search_index (
    user_id    text COLLATE "C" NOT NULL,
    session_id uuid NOT NULL,
    seq        bigint NOT NULL,
    created_at timestamptz NOT NULL,
    words      tsvector NOT NULL,
    PRIMARY KEY (user_id, session_id, seq)
);
CREATE INDEX search_index_words ON agent.search_index USING gin (words);
-- A user's newest first: where words are common, the first twenty are soon found this way.
CREATE INDEX search_index_newest ON agent.search_index (user_id, created_at, session_id, seq);

COMMENT ON TABLE agent.search_index IS 'The words of the messages, written some seconds behind them; read by agent.search.';
COMMENT ON COLUMN agent.search_index.user_id IS 'Whose session it is.';
COMMENT ON COLUMN agent.search_index.session_id IS 'Which session.';
COMMENT ON COLUMN agent.search_index.seq IS 'Which message.';
COMMENT ON COLUMN agent.search_index.created_at IS 'The message''s time: matches are shown newest first.';
COMMENT ON COLUMN agent.search_index.words IS 'Its words, and its owner as one more word, so that the index finds one user''s messages only.';

CREATE TABLE agent.search_progress (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    indexed_until timestamptz NOT NULL
);
INSERT INTO agent.search_progress (indexed_until) VALUES ('-infinity');

COMMENT ON TABLE agent.search_progress IS 'One row: how far the search index is. Its lock lets one process write the index, and none while messages are removed.';
COMMENT ON COLUMN agent.search_progress.only_row IS 'Always true.';
COMMENT ON COLUMN agent.search_progress.indexed_until IS 'Messages created up to this moment are in the index.';

-- 200,000 characters give at most 800,000 bytes of words, which a tsvector (1 MiB) holds: an answer can never be too long
-- to be stored for its words.
CREATE FUNCTION agent.words_of(content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.simple'::regconfig, left(content, 200000))
$$;
COMMENT ON FUNCTION agent.words_of IS 'The words of a text, as the search knows them: any language, no stemming.';

-- A character that no parser makes a word of keeps owners and words apart.
CREATE FUNCTION agent.owner_word(user_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT E'\x01' || user_id
$$;
COMMENT ON FUNCTION agent.owner_word IS 'The word under which the search index has a user''s messages.';

-- Brings the index up to what was stored 15 seconds ago: a statement that stores messages ends within 10, so nothing can
-- appear behind that moment. Goes in slices of time, longer where little was said, and takes p_limit messages in all (more only
-- where several have one time). So no call takes long, whatever came after a quiet time, and one that keeps up reads
-- the newest messages once.
CREATE FUNCTION agent.index_messages(p_limit integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    upto    timestamptz;
    horizon timestamptz := clock_timestamp() - interval '15 seconds';
    slice   interval := interval '10 seconds';
    until   timestamptz;
    newest  timestamptz;
    n       bigint;
    indexed bigint := 0;
BEGIN
    SELECT p.indexed_until INTO upto FROM agent.search_progress AS p FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF upto = '-infinity' THEN
        SELECT min(m.created_at) - interval '1 microsecond' INTO upto FROM agent.messages AS m;
        upto := least(coalesce(upto, horizon), horizon);
    END IF;
    WHILE upto < horizon AND indexed < p_limit LOOP
        until := least(upto + slice, horizon);
        WITH said AS MATERIALIZED (
            SELECT m.user_id, m.session_id, m.seq, m.created_at, m.content
            FROM agent.messages AS m
            WHERE m.created_at > upto AND m.created_at <= until
            ORDER BY m.created_at
            FETCH FIRST (p_limit - indexed) ROWS WITH TIES
        ),
        written AS (
            INSERT INTO agent.search_index (user_id, session_id, seq, created_at, words)
            SELECT s.user_id, s.session_id, s.seq, s.created_at,
                   agent.words_of(s.content) || array_to_tsvector(ARRAY[agent.owner_word(s.user_id)])
            FROM said AS s
            ON CONFLICT DO NOTHING
        )
        SELECT count(*), max(s.created_at) INTO n, newest FROM said AS s;
        indexed := indexed + n;
        -- There may be more between the last one taken and the end of the slice.
        upto := CASE WHEN indexed < p_limit THEN until ELSE newest END;
        slice := slice * 2;
    END LOOP;
    UPDATE agent.search_progress AS p SET indexed_until = upto WHERE p.indexed_until IS DISTINCT FROM upto;
    RETURN indexed;
END
$$;
COMMENT ON FUNCTION agent.index_messages IS 'Brings the search index forward; called by the server only.';

-- Words as a web search box takes them: all of them, "in this order", either or another, -not this one.
--
-- First the user's newest thousand messages are gone through, which is enough where words are common; only where it is not
-- are the words looked up, and then in a long history a few hundredths have them at most. Either way alone can be slow:
-- 98,000 of a user's 100,000 messages, among a million, had a word, and to look it up took 310 ms; now 0.3 (measured).
-- Both ways have the same order, so together they find what either would.
--
-- A kept plan knows neither the words nor the user, so how to go is said here: LIMIT (SELECT …) has no number that could be
-- held against the user's count, which makes it go by the index that has the order; IS NOT DISTINCT FROM is = to which no index
-- applies, which leaves the index of words, where the owner's word finds that user's messages only.
CREATE FUNCTION agent.search(user_id text, words text, max_rows integer DEFAULT 20)
RETURNS SETOF agent.messages LANGUAGE sql STABLE ROWS 20 AS $$
    WITH wanted AS MATERIALIZED (
        SELECT w.query, CASE WHEN numnode(w.query) > 0 THEN w.owner && w.query END AS own
        FROM (SELECT websearch_to_tsquery('pg_catalog.simple'::regconfig, $2) AS query,
                     ('''' || replace(replace(agent.owner_word($1), '\', '\\'), '''', '''''') || '''')::tsquery AS owner) AS w
    ),
    newest AS MATERIALIZED (
        SELECT n.session_id, n.seq, n.created_at
        FROM (SELECT i.session_id, i.seq, i.created_at, i.words
              FROM agent.search_index AS i
              WHERE i.user_id = $1
              ORDER BY i.created_at DESC, i.session_id DESC, i.seq DESC
              LIMIT (SELECT 1000)) AS n
        WHERE n.words @@ (SELECT w.own FROM wanted AS w)
        ORDER BY n.created_at DESC, n.session_id DESC, n.seq DESC
        LIMIT $3
    ),
    enough AS MATERIALIZED (
        SELECT coalesce((SELECT count(*) FROM newest) >= $3, false)
            OR NOT EXISTS (SELECT 1 FROM agent.search_index AS i WHERE i.user_id = $1 OFFSET (SELECT 1000)) AS is_so
    ),
    found AS (
        (SELECT n.session_id, n.seq, n.created_at
         FROM newest AS n
         WHERE (SELECT e.is_so FROM enough AS e))
        UNION ALL
        (SELECT i.session_id, i.seq, i.created_at
         FROM agent.search_index AS i
         WHERE NOT (SELECT e.is_so FROM enough AS e)
           AND i.words @@ (SELECT w.own FROM wanted AS w)
           AND i.user_id IS NOT DISTINCT FROM $1
         ORDER BY i.created_at DESC, i.session_id DESC, i.seq DESC
         LIMIT $3)
        UNION ALL
        -- What is not in the index yet: of the sessions written to since, the messages after the last that is.
        (SELECT m.session_id, m.seq, m.created_at
         FROM agent.sessions AS s
         CROSS JOIN LATERAL (
             SELECT coalesce(max(i.seq), 0) AS seq FROM agent.search_index AS i
             WHERE i.user_id = s.user_id AND i.session_id = s.session_id
         ) AS last
         JOIN agent.messages AS m ON m.user_id = s.user_id AND m.session_id = s.session_id AND m.seq > last.seq
         WHERE s.user_id = $1
           AND s.last_activity_at > (SELECT p.indexed_until FROM agent.search_progress AS p)
           AND agent.words_of(m.content) @@ (SELECT w.query FROM wanted AS w)
         ORDER BY m.created_at DESC, m.session_id DESC, m.seq DESC
         LIMIT $3)
        ORDER BY created_at DESC, session_id DESC, seq DESC
        LIMIT $3
    )
    SELECT m.*
    FROM found AS f
    JOIN agent.messages AS m ON m.user_id = $1 AND m.session_id = f.session_id AND m.seq = f.seq
    ORDER BY m.created_at DESC, m.session_id DESC, m.seq DESC
$$;
COMMENT ON FUNCTION agent.search IS 'A user''s messages that hold these words, newest first: agent.search(''u_42'', ''durable log'').';

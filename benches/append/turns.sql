-- What agent.append_batch takes in this database, for docs/scaling.md: whole, and cut by deploy/partition.sql.
--
--   psql "$DATABASE_URL" -q -f benches/append/turns.sql
--
-- In a database made for it, as the schema's owner: 19,200 turns are stored first, and everything stays. One connection,
-- which plans as the writer of a node does; each batch is a commit. Prints microseconds for a batch of 1 and of 64, five
-- times: of questions in new sessions, and of the answers to them.

\set ON_ERROR_STOP 1
SET plan_cache_mode = force_generic_plan;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;

CREATE PROCEDURE pg_temp.turns(n integer, times integer, heading text) LANGUAGE plpgsql AS $$
DECLARE
    users     text[];
    sessions  uuid[];
    questions uuid[];
    runs      uuid[];
    answers   uuid[];
    began     timestamptz;
    asking    interval := '0';
    answering interval := '0';
    stored    bigint;
BEGIN
    FOR i IN 1 .. times LOOP
        SELECT array_agg('bench-' || (k * 7919 + i * 104729) % 6400), array_agg(gen_random_uuid()), array_agg(gen_random_uuid()),
               array_agg(gen_random_uuid()), array_agg(gen_random_uuid())
        INTO users, sessions, questions, runs, answers
        FROM generate_series(1, n) AS k;
        INSERT INTO agent.sessions (user_id, session_id) SELECT * FROM unnest(users, sessions);
        COMMIT;
        began := clock_timestamp();
        SELECT count(*) INTO stored
        FROM agent.append_batch(
            1, 20, 0, false, users, sessions, questions, array_fill('q'::text, ARRAY[n]),
            array_fill('What is a log, and why?'::text, ARRAY[n]), array_fill(NULL::jsonb, ARRAY[n]),
            array_fill('What is a log'::text, ARRAY[n]), runs, answers, array_fill(NULL::text, ARRAY[n]),
            array_fill(2::smallint, ARRAY[n]), array_fill('enqueue'::text, ARRAY[n]), array_fill(true, ARRAY[n]),
            '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')
        WHERE start_run_id IS NOT NULL;
        COMMIT;
        asking := asking + (clock_timestamp() - began);
        IF stored <> n THEN
            RAISE EXCEPTION '% questions of % were stored', stored, n;
        END IF;
        began := clock_timestamp();
        SELECT count(*) INTO stored
        FROM agent.append_batch(
            1, 20, 0, false, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
            users, sessions, runs, array_fill(1::bigint, ARRAY[n]), array_fill('A list that only grows.'::text, ARRAY[n]),
            array_fill('complete'::text, ARRAY[n]), array_fill('model'::text, ARRAY[n]), array_fill('stop'::text, ARRAY[n]),
            array_fill(NULL::text, ARRAY[n]), array_fill(NULL::text, ARRAY[n]), array_fill(10::bigint, ARRAY[n]),
            array_fill(10::bigint, ARRAY[n]), array_fill(0.001::double precision, ARRAY[n]), array_fill('{1}'::text, ARRAY[n]),
            array_fill(10, ARRAY[n]), array_fill(clock_timestamp(), ARRAY[n]), array_fill(true, ARRAY[n]))
        WHERE outcome = 'appended';
        COMMIT;
        answering := answering + (clock_timestamp() - began);
        IF stored <> n THEN
            RAISE EXCEPTION '% answers of % were stored', stored, n;
        END IF;
    END LOOP;
    IF heading IS NOT NULL THEN
        RAISE INFO '% of %: questions % µs, answers % µs', heading, n,
            round(extract(epoch FROM asking) * 1e6 / times), round(extract(epoch FROM answering) * 1e6 / times);
    END IF;
END
$$;

CALL pg_temp.turns(64, 300, NULL);
VACUUM ANALYZE;
CALL pg_temp.turns(1, 10, NULL);
CALL pg_temp.turns(1, 300, 'batches');
CALL pg_temp.turns(64, 40, 'batches');
CALL pg_temp.turns(1, 300, 'batches');
CALL pg_temp.turns(64, 40, 'batches');
CALL pg_temp.turns(1, 300, 'batches');
CALL pg_temp.turns(64, 40, 'batches');
CALL pg_temp.turns(1, 300, 'batches');
CALL pg_temp.turns(64, 40, 'batches');
CALL pg_temp.turns(1, 300, 'batches');
CALL pg_temp.turns(64, 40, 'batches');

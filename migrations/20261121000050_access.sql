-- Who may do what: four roles without a login, to be granted to those that have one, and row-level security.
--
-- agent_app       the server: what it needs and no more; no DDL, and it cannot change a message
-- agent_reader    people who inspect: reads everything, changes nothing
-- agent_notifier  services: may notify, reads nothing
-- agent_user      PostgREST, or a service's own SET LOCAL agent.user_id: that user's rows and no others

-- The user for whom a connection acts: agent.user_id, else the subject of the claims that PostgREST and Supabase set.
CREATE FUNCTION agent.current_user_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        nullif(current_setting('agent.user_id', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
        nullif(current_setting('request.jwt.claim.sub', true), ''))
$$;
COMMENT ON FUNCTION agent.current_user_id IS 'Whose rows role agent_user sees: agent.user_id, or sub of request.jwt.claims. Null: nobody''s.';

-- Makes the roles where it may, and gives every role what it is for; nothing that it does not name. Can be run again at any
-- time by the schema's owner or a superuser, and is run at the end of each migration that adds a table or a function.
-- Returns the roles that are missing and could not be made.
CREATE FUNCTION agent.grant_access() RETURNS text[] LANGUAGE plpgsql VOLATILE
-- Else each policy that is not there yet is worth a notice.
SET client_min_messages = warning
AS $$
DECLARE
    role_name text;
    missing   text[] := '{}';
    owner     name;
    relation  name;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['agent_app', 'agent_reader', 'agent_notifier', 'agent_user'] LOOP
        CONTINUE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION
            WHEN insufficient_privilege THEN missing := missing || role_name;
            -- Another database of this server is being migrated at the same time.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;

    EXECUTE 'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA agent FROM PUBLIC';

    -- Every table with rows of users is closed to all but those who have a policy, its owner included.
    SELECT pg_get_userbyid(n.nspowner) INTO owner FROM pg_namespace AS n WHERE n.nspname = 'agent';
    FOR relation IN
        SELECT c.relname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE agent.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('DROP POLICY IF EXISTS owner ON agent.%I', relation);
        EXECUTE format('CREATE POLICY owner ON agent.%I TO %I USING (true) WITH CHECK (true)', relation, owner);
        CONTINUE WHEN missing <> '{}';
        EXECUTE format('DROP POLICY IF EXISTS app ON agent.%I', relation);
        EXECUTE format('CREATE POLICY app ON agent.%I TO agent_app USING (true) WITH CHECK (true)', relation);
        EXECUTE format('DROP POLICY IF EXISTS reader ON agent.%I', relation);
        EXECUTE format('CREATE POLICY reader ON agent.%I FOR SELECT TO agent_reader USING (true)', relation);
        -- In a sub-select, so that it is asked once a query and not once a row.
        EXECUTE format('DROP POLICY IF EXISTS own ON agent.%I', relation);
        EXECUTE format('CREATE POLICY own ON agent.%I FOR SELECT TO agent_user
                        USING (user_id = (SELECT agent.current_user_id()))', relation);
    END LOOP;
    IF missing <> '{}' THEN
        RETURN missing;
    END IF;
    DROP POLICY IF EXISTS notifier ON agent.notifications;
    CREATE POLICY notifier ON agent.notifications FOR INSERT TO agent_notifier WITH CHECK (true);

    GRANT USAGE ON SCHEMA agent TO agent_app, agent_reader, agent_notifier, agent_user;

    GRANT SELECT ON ALL TABLES IN SCHEMA agent TO agent_app, agent_reader;
    GRANT INSERT, UPDATE, DELETE ON agent.nodes, agent.sessions, agent.runs, agent.feedback, agent.usage,
        agent.notifications, agent.connections, agent.reservations TO agent_app;
    -- Rows of these are never changed.
    GRANT INSERT, DELETE ON agent.messages, agent.chunks, agent.search_index, agent.tickets, agent.revocations TO agent_app;
    GRANT UPDATE ON agent.search_progress TO agent_app;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA agent TO agent_app;
    REVOKE EXECUTE ON FUNCTION agent.grant_access FROM agent_app;

    GRANT EXECUTE ON FUNCTION agent.search, agent.words_of, agent.owner_word TO agent_reader, agent_user;

    GRANT INSERT (user_id, session_id, kind, title, content, data, priority, dedupe_key, collapse_key, deliver_after,
                  expires_at, in_context) ON agent.notifications TO agent_notifier;
    GRANT EXECUTE ON FUNCTION agent.notify TO agent_notifier;

    GRANT SELECT ON agent.sessions, agent.messages, agent.runs, agent.feedback, agent.usage, agent.notifications,
        agent.connections, agent.search_index, agent.search_progress, agent.transcript, agent.session_overview,
        agent.pending_notifications, agent.usage_daily, agent.live_connections, agent.prompt TO agent_user;
    GRANT SELECT (node_id, lease_until) ON agent.nodes TO agent_user;
    GRANT EXECUTE ON FUNCTION agent.current_user_id TO agent_user;
    RETURN missing;
END
$$;
COMMENT ON FUNCTION agent.grant_access IS 'Gives the roles what they are for; returns those that are missing. Run by the owner of the schema or a superuser.';

-- The migrator's own record: made by it before any migration.
DO $$
BEGIN
    IF to_regclass('agent.migrations') IS NOT NULL THEN
        COMMENT ON TABLE agent.migrations IS 'Which migrations were applied. Written by the server''s migrator.';
        COMMENT ON COLUMN agent.migrations.version IS 'Number of the migration.';
        COMMENT ON COLUMN agent.migrations.description IS 'Its name.';
        COMMENT ON COLUMN agent.migrations.installed_on IS 'When it was applied.';
        COMMENT ON COLUMN agent.migrations.success IS 'Whether it succeeded.';
        COMMENT ON COLUMN agent.migrations.checksum IS 'Of its text: a changed one is refused.';
        COMMENT ON COLUMN agent.migrations.execution_time IS 'How long it took, in nanoseconds.';
    END IF;
END
$$;

SELECT agent.grant_access();

-- The roles of schema agent, where the user who migrates may not create roles. Once for each server, by a superuser, or by
-- the schema's owner if he has CREATEROLE; in the service's database, before or after `agent-websocket migrate`:
--
--   psql "$ADMIN_DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/roles.sql
--
-- Harmless when repeated. The roles have no login; docs/sql.md says how to give each one.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['agent_app', 'agent_reader', 'agent_notifier', 'agent_user'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$$;

-- Their rights, where the schema is there already; else the migration gives them.
DO $$
BEGIN
    IF to_regprocedure('agent.grant_access()') IS NOT NULL THEN
        PERFORM agent.grant_access();
    END IF;
END
$$;

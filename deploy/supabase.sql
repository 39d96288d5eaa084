-- Beside a Supabase project: its signed-in users read their own rows through PostgREST, its service role notifies.
--
--   psql "$DATABASE_URL" --file=deploy/supabase.sql
--
-- As the role that ran `agent-websocket migrate` (Supabase: postgres); after each upgrade again, since a new version may bring
-- tables. docs/supabase.md says what else is to be set.

BEGIN;

-- What each may do at all; the policies of agent_user then leave only rows whose user_id is the token's sub.
GRANT agent_user TO authenticated;
GRANT agent_notifier TO service_role;

-- A lock of its own beside them: whatever a function that PostgREST exposes may set, a signed-in user sees no rows but those of
-- auth.uid(). Restrictive: it takes away from what other policies give, and gives nothing.
DO $$
DECLARE
    relation name;
BEGIN
    FOR relation IN
        SELECT c.relname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS supabase_user ON agent.%I', relation);
        -- In a sub-select, so that it is asked once a query and not once a row.
        EXECUTE format('CREATE POLICY supabase_user ON agent.%I AS RESTRICTIVE TO authenticated
                        USING (user_id = (SELECT auth.uid())::text)', relation);
    END LOOP;
END
$$;

COMMIT;

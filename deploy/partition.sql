-- Cuts the tables of the log into parts by user: PARTITION BY HASH (user_id). For one large Postgres; docs/scaling.md says
-- what it gives and what it costs. In a maintenance window, with every node stopped and a backup made, after
-- `agent-websocket migrate`, by the schema's owner or a superuser:
--
--   PGOPTIONS='-c agent.parts=8' psql "$ADMIN_DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/partition.sql
--
-- One transaction: all rows are copied, so it takes as long as that, and as much disk again until it ends. If anything is
-- in the way, nothing has changed. Harmless when repeated: tables that are cut already stay as they are. Indexes, views
-- and functions keep their names, so later migrations find them. It refuses where somebody's own trigger, policy, grant or
-- publication is on one of these tables, since that would be lost: take it off, and put it on again afterwards.
--
-- The number of parts (agent.parts, 8 unless said) cannot be changed later without copying everything again.

DO $$
DECLARE
    log       CONSTANT text[] := ARRAY['sessions', 'messages', 'runs', 'chunks', 'feedback', 'usage', 'search_index',
                                       'reservations'];
    parts     CONSTANT integer := coalesce(nullif(current_setting('agent.parts', true), ''), '8')::integer;
    whole     oid[];      -- those of them that are not cut yet
    lost      text;
    views     text[];     -- statements that make the views anew, on the new tables
    functions text[];     -- the same for functions that return rows of one of the tables
    indexes   text[];
    settings  text;
    remark    text;
    name      text;
    statement text;
    item      record;
BEGIN
    -- Whoever runs this, what it makes belongs to the schema's owner. Definitions are read with every name in full.
    PERFORM set_config('role', (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n WHERE n.nspname = 'agent'), true),
            set_config('search_path', 'pg_catalog', true);
    SELECT array_agg(c.oid) INTO whole
    FROM pg_class AS c
    WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind = 'r' AND c.relname = ANY (log);
    IF whole IS NULL THEN
        RETURN;
    END IF;
    FOREACH name IN ARRAY log LOOP
        EXECUTE format('LOCK TABLE agent.%I IN ACCESS EXCLUSIVE MODE', name);
    END LOOP;

    SELECT string_agg(x.what, ', ') INTO lost
    FROM (
        SELECT format('trigger %s on %s', t.tgname, t.tgrelid::regclass) AS what
        FROM pg_trigger AS t WHERE t.tgrelid = ANY (whole) AND NOT t.tgisinternal
        UNION ALL
        SELECT format('policy %s on %s', p.polname, p.polrelid::regclass)
        FROM pg_policy AS p WHERE p.polrelid = ANY (whole) AND p.polname NOT IN ('owner', 'app', 'reader', 'own')
        UNION ALL
        SELECT format('publication %s of %s', p.pubname, r.prrelid::regclass)
        FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.prrelid = ANY (whole)
        UNION ALL
        SELECT DISTINCT format('grant to %s on %s', coalesce(r.rolname, 'PUBLIC'), c.oid::regclass)
        FROM pg_class AS c
        CROSS JOIN LATERAL (
            SELECT g.grantee FROM aclexplode(c.relacl) AS g
            UNION ALL
            SELECT g.grantee FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS g WHERE a.attrelid = c.oid
        ) AS g
        LEFT JOIN pg_roles AS r ON r.oid = g.grantee
        WHERE c.oid = ANY (whole) AND g.grantee <> c.relowner
          AND coalesce(r.rolname, '') NOT IN ('agent_app', 'agent_reader', 'agent_notifier', 'agent_user')
    ) AS x;
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'this would be lost: %', lost
            USING HINT = 'Take it off these tables, run this again, and put it on again.';
    END IF;

    -- A view stays itself (its grants, its comment, what is built on it): only what it reads is said again.
    SELECT array_agg(format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
                            ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid)))
    INTO views
    FROM pg_class AS v
    WHERE v.relkind = 'v' AND v.oid IN (
        SELECT r.ev_class FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (whole));
    SELECT array_agg(pg_get_functiondef(p.oid) ||
                     coalesce(format('; COMMENT ON FUNCTION %s IS %L', p.oid::regprocedure, obj_description(p.oid)), ''))
    INTO functions
    FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype
    WHERE t.typrelid = ANY (whole);
    FOR item IN
        SELECT p.oid::regprocedure AS known FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype
        WHERE t.typrelid = ANY (whole)
    LOOP
        EXECUTE format('DROP FUNCTION %s', item.known);
    END LOOP;

    SELECT array_agg(CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
                          ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, k.conname,
                                      pg_get_constraintdef(k.oid)) END ORDER BY i.indexrelid)
    INTO indexes
    FROM pg_index AS i
    LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE i.indrelid = ANY (whole);

    FOR item IN SELECT c.oid, c.relname, c.reloptions FROM pg_class AS c WHERE c.oid = ANY (whole) LOOP
        name := item.relname;
        remark := obj_description(item.oid, 'pg_class');
        settings := coalesce('WITH (' || array_to_string(item.reloptions, ', ') || ')', '');
        EXECUTE format('ALTER TABLE agent.%I RENAME TO %I', name, name || '_whole');
        EXECUTE format('CREATE TABLE agent.%I (LIKE agent.%I INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (user_id)',
                       name, name || '_whole');
        EXECUTE format('COMMENT ON TABLE agent.%I IS %L', name, remark);
        FOR part IN 0 .. parts - 1 LOOP
            EXECUTE format('CREATE TABLE agent.%I PARTITION OF agent.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s) %s',
                           name || '_' || part, name, parts, part, settings);
            EXECUTE format('COMMENT ON TABLE agent.%I IS %L', name || '_' || part, 'A part of agent.' || name || '.');
        END LOOP;
        EXECUTE format('INSERT INTO agent.%I SELECT * FROM agent.%I', name, name || '_whole');
    END LOOP;
    FOREACH statement IN ARRAY coalesce(views, '{}') LOOP
        EXECUTE statement;
    END LOOP;
    -- Whatever else reads them (a materialized view, say) makes this fail, and with it all of it.
    FOR item IN SELECT c.relname FROM pg_class AS c WHERE c.oid = ANY (whole) LOOP
        EXECUTE format('DROP TABLE agent.%I', item.relname);
    END LOOP;
    -- After the rows, which is quicker; and after the old indexes, whose names these have.
    FOREACH statement IN ARRAY indexes || coalesce(functions, '{}') LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM agent.grant_access();
    FOREACH name IN ARRAY log LOOP
        EXECUTE format('ANALYZE agent.%I', name);
    END LOOP;
END
$$;

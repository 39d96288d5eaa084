-- A notification's way from its hint to its row, without planning: agent.deliverable planned at each call, since of an empty table
-- any index looked as good as any other, and that took most of its half a millisecond.

-- The same rows as before. What is said of a collapse_key is asked only of rows that have one, each by its key: joined flatly, it was
-- planned as a walk through all of them.
CREATE OR REPLACE VIEW agent.pending_notifications WITH (security_invoker = true) AS
SELECT n.notification_id, n.user_id, n.session_id, n.kind, n.title, n.content, n.data, n.priority, n.dedupe_key,
       n.collapse_key, n.deliver_after, n.expires_at, n.in_context, n.created_at,
       (n.deliver_after IS NULL OR n.deliver_after <= statement_timestamp()) AS due
FROM agent.notifications AS n
WHERE n.acknowledged_at IS NULL
  AND (n.expires_at IS NULL OR n.expires_at > statement_timestamp())
  -- Of several with one collapse_key the newest that is due, and those that are yet to come.
  AND (n.collapse_key IS NULL OR NOT EXISTS (
      SELECT 1 FROM agent.notifications AS newer
      WHERE newer.user_id = n.user_id AND newer.collapse_key = n.collapse_key AND newer.acknowledged_at IS NULL
        AND (newer.created_at, newer.notification_id) > (n.created_at, n.notification_id)
        AND (newer.deliver_after IS NULL OR newer.deliver_after <= statement_timestamp())
        AND (newer.expires_at IS NULL OR newer.expires_at > statement_timestamp())));

-- Those of some notifications that are to be delivered now. Each is looked up by itself; the range and the order, of one, are for
-- the planner, which then takes the one index that has them in this order.
CREATE OR REPLACE FUNCTION agent.deliverable(p_ids uuid[]) RETURNS SETOF agent.pending_notifications
LANGUAGE sql STABLE AS $$
    SELECT p.*
    FROM unnest(p_ids) AS k (id)
    CROSS JOIN LATERAL (
        SELECT *
        FROM agent.pending_notifications AS n
        WHERE n.notification_id BETWEEN k.id AND k.id
        ORDER BY n.notification_id
        LIMIT 1
    ) AS p
    WHERE p.due
$$;

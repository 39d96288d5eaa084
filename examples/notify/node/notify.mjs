// Notifies many users from Node, with pg:
//
//   node examples/notify/node/notify.mjs "Maintenance tonight at 22:00" u_42 u_7
//
// Connects by DATABASE_URL if it is set, else by PGHOST, PGUSER and the rest. A login in the role agent_notifier is enough.
import pg from "pg";

const [content, ...userIds] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  // One statement for all of them: one transaction, and one hint to the servers to look. Without a target, since ON
  // CONFLICT (user_id, dedupe_key) needs to read these columns, which agent_notifier may not; nor may it say RETURNING.
  const { rowCount } = await client.query(
    `INSERT INTO agent.notifications (user_id, content, kind, data, dedupe_key, expires_at)
     SELECT user_id, $2, 'maintenance', $3, $4, now() + interval '1 day'
     FROM unnest($1::text[]) AS user_id
     ON CONFLICT DO NOTHING`,
    [userIds, content, { window: "22:00-23:00" }, "maintenance-2026-11-21"],
  );
  console.log(`${rowCount} of ${userIds.length} notified`);
} finally {
  await client.end();
}

// A Supabase edge function that reaches a user: supabase/functions/notify/index.ts. For database webhooks and services:
//
//   curl -X POST https://PROJECT.supabase.co/functions/v1/notify -H "Authorization: Bearer $NOTIFY_SECRET" \
//     -d '{"user_id": "u_42", "content": "Build finished", "kind": "build", "dedupe_key": "build-1234"}'
//
// Deploy with --no-verify-jwt: its callers have NOTIFY_SECRET and no user's token. Supabase sets SUPABASE_DB_URL.
import { createHash, timingSafeEqual } from "node:crypto";
import postgres from "npm:postgres@3.4.9";

// One connection, and no prepared statements: so it works through a transaction pooler too.
const sql = postgres(Deno.env.get("SUPABASE_DB_URL") ?? "", { max: 1, prepare: false });
const secret = Deno.env.get("NOTIFY_SECRET");
if (!secret) throw new Error("NOTIFY_SECRET is not set");

const digest = (text: string) => createHash("sha256").update(text).digest();
const isText = (value: unknown, maxBytes: number): value is string =>
  typeof value === "string" && value !== "" && new TextEncoder().encode(value).length <= maxBytes;
const refuse = (status: number, error: string) => Response.json({ error }, { status });

Deno.serve(async (request) => {
  if (request.method !== "POST") return refuse(405, "POST only");
  // Whoever may call this may write to every user.
  const given = request.headers.get("authorization") ?? "";
  if (!timingSafeEqual(digest(given), digest(`Bearer ${secret}`))) return refuse(401, "wrong secret");
  const body = await request.json().catch(() => null);
  if (!isText(body?.user_id, 255)) return refuse(400, "user_id: 1 to 255 bytes of text");
  if (!isText(body.content, 32768)) return refuse(400, "content: 1 byte to 32 KiB of text");
  const { user_id, content, kind = "message", dedupe_key = null } = body;
  try {
    const [{ id }] = await sql`SELECT agent.notify(user_id => ${user_id}, content => ${content}, kind => ${kind},
                                                   dedupe_key => ${dedupe_key}) AS id`;
    return Response.json({ notification_id: id }, { status: id === null ? 200 : 201 }); // null: it was there
  } catch (error) {
    // Class 22 and 23: a value that the table does not take. What is wrong with it is in the function's log.
    console.error(error);
    return /^2[23]/.test((error as { code?: string }).code ?? "") ? refuse(400, "refused") : refuse(500, "failed");
  }
});

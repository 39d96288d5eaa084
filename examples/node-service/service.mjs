// A job without a person: asks the agent, and tells a user what it said.
//
//   node service.mjs USER QUESTION [KEY]
//
// AGENT_URL is the service's address, AGENT_TOKEN a token whose scope holds agent:notify. A repetition with the same KEY
// tells the user nothing twice.
import { createClient } from 'agent-websocket';
import { WebSocket } from 'ws';

const { AGENT_URL, AGENT_TOKEN } = process.env;
const [user, question, key] = process.argv.slice(2);
if (!AGENT_URL || !AGENT_TOKEN || !user || !question) {
  console.error('usage: AGENT_URL=… AGENT_TOKEN=… node service.mjs USER QUESTION [KEY]');
  process.exit(2);
}

// Node has a WebSocket of its own from version 22.
const client = createClient({ url: AGENT_URL, getToken: async () => AGENT_TOKEN, WebSocket });

try {
  const session = await client.sessions.create({ title: question.slice(0, 80) });
  const answer = await session.send(question).answer;
  if (answer.state !== 'complete') throw new Error(`the answer is ${answer.state}`);
  const { notification_id, duplicate } = await notify({ user_id: user, kind: 'report', content: answer.content });
  console.log(duplicate ? 'told before' : `told: ${notification_id}`);
} catch (error) {
  console.error(`failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.reset();
}

async function notify(notification) {
  const response = await fetch(`${AGENT_URL}/v1/notifications`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${AGENT_TOKEN}`,
      'content-type': 'application/json',
      ...(key && { 'idempotency-key': key }),
    },
    body: JSON.stringify(notification),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${body.detail}`);
  return body;
}

// A client in a world of the test's own, with a session that is live.

import assert from "node:assert/strict";
import { clientWith, type Client } from "../../src/client.js";
import type { Session, Turn, TurnEvent } from "../../src/index.js";
import { World, frames, type Said } from "../world.js";

export interface Scene {
  world: World;
  client: Client;
  session: Session;
}

export function clientIn(world: World): Client {
  return clientWith(world.env, { url: "https://agent.test", getToken: () => "token", deviceId: "device" });
}

export async function live(): Promise<Scene> {
  const world = new World();
  const client = clientIn(world);
  const session = client.sessions.open();
  await world.settle();
  world.socket.tell(frames.welcome(), frames.live());
  await world.settle();
  assert.equal(session.connection.value.status, "live");
  return { world, client, session };
}

/** The connection is cut and made again; `between` the server's welcome and its `live` stands what it replays. */
export async function comeBack(world: World, head: number, ...between: object[]): Promise<void> {
  world.socket.cut();
  await world.pass(1_000);
  world.socket.tell(frames.welcome({ resumed: true, head, first_available: 1 }), ...between, frames.live(head));
  await world.settle();
}

/** What a client said of this kind, over all sockets. */
export function saidOf(world: World, type: string): Said[] {
  return world.sockets.flatMap(({ said }) => said).filter((one) => one.type === type);
}

export function lastSaid(world: World): Said {
  return world.socket.said.at(-1) ?? assert.fail("Nothing was said");
}

/** Follows a turn; the list grows as it goes on. An error is its last item. */
export function follow(turn: Turn): (TurnEvent | { type: "error"; code: unknown })[] {
  const events: (TurnEvent | { type: "error"; code: unknown })[] = [];
  void (async () => {
    try {
      for await (const event of turn) events.push(event);
    } catch (error) {
      events.push({ type: "error", code: (error as { code: unknown }).code });
    }
  })();
  return events;
}

/** The text that a reader holds after these events. */
export function textOf(events: readonly { type: string; text?: string }[]): string {
  return events.reduce((text, event) => (event.type === "reset" ? "" : text + (event.type === "text" ? event.text : "")), "");
}

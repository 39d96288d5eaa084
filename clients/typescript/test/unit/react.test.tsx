// The React hooks in a document, against a server that the test plays.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Window } from "happy-dom";
import { StrictMode, act, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import type { Client, Session } from "../../src/index.js";
import { useNotifications, useSession } from "../../src/react.js";
import { SESSION, World, frames } from "../world.js";
import { clientIn } from "./scene.js";

const window = new Window();
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
after(() => window.happyDOM.close());

interface Page {
  root: Root;
  text(): string;
  show(node: ReactNode): Promise<void>;
}

function page(world: World): Page {
  const place = window.document.createElement("div");
  const root = createRoot(place as unknown as Element);
  return {
    root,
    text: () => place.textContent ?? "",
    show: (node) => act(async () => {
      root.render(node);
      await world.settle();
    }),
  };
}

/** Lets what happens reach the page. */
const happens = (world: World, ...what: (() => void)[]): Promise<void> =>
  act(async () => {
    for (const one of what) one();
    await world.settle();
  });

let session: Session | null = null;
let actions: ReturnType<typeof useSession>;

function Chat({ client, id }: { client: Client; id?: string }): ReactNode {
  actions = useSession(client, id);
  session = actions.session;
  const unread = useNotifications(client);
  return `${actions.connection.status}: ${actions.state.messages.map(({ content }) => content).join(", ")} (${unread.length})`;
}

test("a component shows the session as it changes, asks and stops", async () => {
  const world = new World();
  const client = clientIn(world);
  const { root, text, show } = page(world);
  await show(<Chat client={client} id={SESSION} />);
  assert.equal(text(), "connecting:  (0)");
  await happens(world, () => world.socket.tell(frames.welcome({ head: 1, resumed: true }), frames.query(1), frames.notification("n"), frames.live(1)));
  assert.equal(text(), "live: Question 1 (1)");
  await happens(world, () => void actions.send("Why?"));
  assert.equal(text(), "live: Question 1, Why? (1)");
  const id = world.socket.said.at(-1)?.id ?? "";
  await happens(world, () => world.socket.tell(frames.accepted(id, 2), frames.thinking(2), frames.delta(2, 0, "So")));
  assert.equal(text(), "live: Question 1, Why?, So (1)");
  await happens(world, () => actions.cancel());
  assert.deepEqual([world.socket.said.at(-1)?.content, world.socket.said.at(-1)?.["args"]], ["cancel", { run_id: "r-2" }]);
  await happens(world, () => world.socket.cut());
  assert.equal(text(), "offline: Question 1, Why?, So (1)");
  await act(async () => root.unmount());
  assert.deepEqual([world.timers.size, world.wakeListeners], [0, 0]);
});

test("another id is another session; the one before is closed", async () => {
  const world = new World();
  const client = clientIn(world);
  const { root, show } = page(world);
  await show(<Chat client={client} id="one" />);
  const before = session;
  await show(<Chat client={client} id="two" />);
  assert.equal(session?.id, "two");
  assert.equal(before?.connection.value.status, "closed");
  await act(async () => root.unmount());
});

test("two components share a session, which is closed when both are gone", async () => {
  const world = new World();
  const client = clientIn(world);
  const { root, show } = page(world);
  await show([<Chat key="a" client={client} id="one" />, <Chat key="b" client={client} id="one" />]);
  assert.equal(world.sockets.length, 1);
  await show([<Chat key="a" client={client} id="one" />]);
  assert.equal(world.sockets[0]?.dropped, false);
  await act(async () => root.unmount());
  assert.equal(world.sockets[0]?.dropped, true);
});

test("StrictMode, which mounts everything twice, leaves one open session", async () => {
  const world = new World();
  const client = clientIn(world);
  const { root, show } = page(world);
  await show(<StrictMode><Chat client={client} id="one" /></StrictMode>);
  assert.equal(world.sockets.filter(({ dropped }) => !dropped).length, 1);
  assert.equal(session?.connection.value.status, "connecting");
  await act(async () => root.unmount());
  assert.equal(world.sockets.filter(({ dropped }) => !dropped).length, 0);
});

test("a server renders it without connecting", () => {
  const world = new World();
  assert.equal(renderToString(<Chat client={clientIn(world)} id="one" />), "connecting:  (0)");
  assert.equal(world.sockets.length, 0);
});

// The AI SDK's own chat and transport under Node, driven by lines: each is a JSON array of a verb and its arguments, and is answered by
// a line. Verbs that ask for an answer do not wait for it; `state` says how far it is.
import { createInterface } from 'node:readline';
import { AbstractChat, WebSocketChatTransport } from 'ai';
import { WebSocket } from 'ws';

class State {
  status = 'ready';
  error = undefined;
  messages = [];
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends AbstractChat {
  constructor(init) {
    super({ ...init, state: new State() });
  }
}

let chat;
let transport;
let headers = {};
const data = [];
const finished = [];

const verbs = {
  // Another chat over the same transport.
  chat(id, messages = []) {
    chat = new Chat({
      id,
      transport,
      onData: (part) => data.push(part),
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
        finished.push({ isAbort, isDisconnect, isError, finishReason }),
    });
    chat.messages = messages;
  },
  connect(options) {
    transport = new WebSocketChatTransport({ webSocket: WebSocket, headers: () => headers, ...options });
  },
  headers(given) {
    headers = given;
  },
  send: (text, messageId) => void chat.sendMessage({ text, messageId }),
  regenerate: (messageId) => void chat.regenerate({ messageId }),
  resume: () => void chat.resumeStream(),
  stop: () => chat.stop(),
  close: () => transport.close(),
  state: () => ({
    status: chat.status,
    error: chat.error?.message,
    messages: chat.messages.map(({ id, role, parts }) => ({
      id,
      role,
      text: parts.filter((part) => part.type === 'text').map((part) => part.text).join(''),
    })),
    data,
    finished,
  }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...args] = JSON.parse(line);
  const result = await verbs[verb](...args);
  console.log(JSON.stringify(result ?? null));
}
process.exit(0);

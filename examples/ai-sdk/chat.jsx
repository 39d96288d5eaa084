// useChat on a durable session: the AI SDK's own transport, pointed at /v1/ai-sdk. Nothing else is needed.
import { useChat } from '@ai-sdk/react';
import { WebSocketChatTransport } from 'ai';
import { useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';

const page = new URLSearchParams(location.hash.slice(1));
const server = page.get('server') ?? 'ws://127.0.0.1:8080';

// A real application asks its own backend, which mints a token for the user who is logged in.
const getToken = async () => page.get('token');

function Chat({ id }) {
  const transport = useMemo(
    () =>
      new WebSocketChatTransport({
        url: `${server}/v1/ai-sdk`,
        // Sent in each frame, so that a long conversation outlives any one token.
        headers: async () => ({ Authorization: `Bearer ${await getToken()}` }),
        // The server has the conversation: sending all of it each time would only grow the frames.
        prepareSendMessagesRequest: ({ messages }) => ({ messages: messages.slice(-1) }),
      }),
    [],
  );
  const chat = useChat({ id, transport, resume: true });
  const [text, setText] = useState('');
  const send = (event) => {
    event.preventDefault();
    chat.sendMessage({ text });
    setText('');
  };
  return (
    <>
      <ol>
        {chat.messages.map((message) => (
          <li key={message.id} data-role={message.role}>
            {message.parts.map((part, index) => (part.type === 'text' ? <p key={index}>{part.text}</p> : null))}
          </li>
        ))}
      </ol>
      <p role="status">{chat.error ? chat.error.message : chat.status}</p>
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
        <button type="button" onClick={() => chat.stop()}>Stop</button>
        <button type="button" onClick={() => chat.regenerate()}>Again</button>
        <button type="button" onClick={() => chat.resumeStream()}>Resume</button>
      </form>
    </>
  );
}

createRoot(document.getElementById('root')).render(<Chat id={page.get('chat') ?? 'example'} />);

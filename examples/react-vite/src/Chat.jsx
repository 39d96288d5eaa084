// A conversation and its notifications. The hooks keep both up to date, through cuts, reloads and other tabs.
import { useNotifications, useSession } from 'agent-websocket/react';
import { useState } from 'react';

export function Chat({ client, id }) {
  const { session, state, connection, send, cancel } = useSession(client, id);
  return (
    <>
      <p role="status">{connection.status}</p>
      <Notifications client={client} />
      <ol>
        {state.messages.map((message) => (
          <li key={message.key} className={message.role}>
            <span className="text">{message.content}</span>
            {message.state === 'complete' ? null : <small> {message.error?.message ?? message.state}</small>}
            {message.role === 'assistant' && message.id ? (
              <button onClick={() => session.feedback({ messageId: message.id, rating: 1 })}>Good</button>
            ) : null}
          </li>
        ))}
      </ol>
      <Composer send={send} />
      <button disabled={!state.streaming} onClick={cancel}>Stop</button>
    </>
  );
}

function Composer({ send }) {
  const [text, setText] = useState('');
  const submit = (event) => {
    event.preventDefault();
    if (send(text)) setText('');
  };
  return (
    <form onSubmit={submit}>
      <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
      <button>Send</button>
    </form>
  );
}

function Notifications({ client }) {
  const items = useNotifications(client);
  return (
    <ul aria-label={`${items.length} unread`}>
      {items.map((item) => (
        <li key={item.id} className="notification">
          <span className="text">{item.content}</span>
          <button onClick={() => client.notifications.ack(item.id)}>Seen</button>
        </li>
      ))}
    </ul>
  );
}

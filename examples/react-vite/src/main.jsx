// Where the service is and who asks. Everything else is in Chat.
import { createClient } from 'agent-websocket';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Chat } from './Chat.jsx';

const page = new URLSearchParams(location.hash.slice(1));

const client = createClient({
  url: page.get('server') ?? 'ws://127.0.0.1:8080',
  // A real application asks its own backend, which mints a token for the user who is signed in.
  getToken: async () => page.get('token'),
});

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Chat client={client} id="latest" />
  </StrictMode>,
);

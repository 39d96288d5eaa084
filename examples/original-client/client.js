// The client of the original design: one socket, seven types of message, of which it shows four. `url` and `protocols` come
// from index.html, where the token is.
const ws = new WebSocket(url, protocols);

ws.onopen = () => show('status', 'The connection is open');

ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  switch (message.type) {
    case 'response':
      show('response', message.content);
      break;
    case 'notification':
      show('notification', message.content);
      break;
    case 'status':
      show('status', message.content);
      break;
    case 'error':
      show('error', message.content);
      break;
  }
};

ws.onclose = (event) => show('status', `The connection is closed (${event.code})`);

function ask(content) {
  ws.send(JSON.stringify({ type: 'query', content, timestamp: new Date().toISOString() }));
}

function show(type, text) {
  const item = document.createElement('li');
  item.className = type;
  item.textContent = text;
  document.getElementById('log').append(item);
}

// The demo's upstream. It shows the received request and its identity headers.
//
//   node upstream.mjs <port> [<address to listen on>]
//
// The response is HTML, or with `Accept: application/json` all received headers, for tests. A WebSocket client receives them
// as the first message, and the connection is closed. `/custom?header=<name>:<value>&body=<text>` answers with these headers and
// this body, for pages and scripts of tests. `/digest` answers with the length and SHA-256 digest of the request's body.
// `/events` sends one event and keeps the stream open.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const IDENTITY = [
  'x-auth-request-user',
  'x-auth-request-email',
  'x-auth-request-preferred-username',
  'x-auth-request-groups',
  'x-auth-request-role',
  'x-auth-request-key',
];

const STYLE = `
  :root { color-scheme: light dark; --ink: #20242b; --paper: #f7f8fa; --card: #fff; --line: #dfe3ea; --accent: #3552a8; --quiet: #626b7a; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --paper: #14171c; --card: #1c2027; --line: #313743; --accent: #9db4ff; --quiet: #98a2b3; } }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
  main { max-width: 44rem; margin: 0 auto; padding: 3rem 1.25rem; }
  h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
  p { margin: 0 0 1.5rem; color: var(--quiet); }
  dl { margin: 0 0 2rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
  dl div { display: grid; grid-template-columns: minmax(12rem, 18rem) 1fr; gap: .25rem 1rem; padding: .7rem 1rem; }
  dl div + div { border-top: 1px solid var(--line); }
  @media (max-width: 36rem) { dl div { grid-template-columns: 1fr; } }
  dt { color: var(--quiet); font: .9rem/1.6 ui-monospace, monospace; }
  dd { margin: 0; overflow-wrap: anywhere; }
  dd.empty { color: var(--quiet); font-style: italic; }
  code { font: .95em ui-monospace, monospace; overflow-wrap: anywhere; }
  a { color: var(--accent); }
  a:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: .2rem; }
`;

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (char) => ESCAPES[char]);

function row(headers, name) {
  const value = headers[name];
  const shown = value ? `<dd id="${name}">${escape(value)}</dd>` : `<dd id="${name}" class="empty">empty</dd>`;
  return `<div><dt>${name}</dt>${shown}</div>`;
}

function page({ method, url, headers }) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>The upstream</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body><main>
<h1>You reached the upstream</h1>
<p><code>${escape(method)} ${escape(url)}</code> was allowed. The gateway sets these headers with the user's identity.</p>
<dl>${IDENTITY.map((name) => row(headers, name)).join('')}</dl>
<a href="/sso/logout">Sign out</a>
</main></body></html>`;
}

function custom(url, res) {
  const { searchParams } = new URL(url, 'http://upstream');
  const headers = searchParams.getAll('header').map((header) => header.split(/:(.*)/s).slice(0, 2));
  res.writeHead(200, { 'content-type': 'text/html', ...Object.fromEntries(headers) }).end(searchParams.get('body') ?? '');
}

function digest(req, res) {
  const hash = createHash('sha256');
  let length = 0;
  req.on('data', (chunk) => { hash.update(chunk); length += chunk.length; });
  req.on('end', () => {
    const body = JSON.stringify({ method: req.method, length, sha256: hash.digest('hex') });
    res.writeHead(200, { 'content-type': 'application/json' }).end(body);
  });
}

function events(res) {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  res.write('data: first\n\n');
}

const server = createServer((req, res) => {
  if (req.url === '/digest') {
    digest(req, res);
    return;
  }
  req.resume();
  if (req.url === '/events') {
    events(res);
    return;
  }
  if (req.url.startsWith('/custom?')) {
    custom(req.url, res);
    return;
  }
  const json = (req.headers.accept ?? '').includes('application/json');
  const type = json ? 'application/json' : 'text/html; charset=utf-8';
  const { method, url, headers, rawHeaders } = req;
  const body = json ? JSON.stringify({ method, path: url, headers, rawHeaders }) : page(req);
  res.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(method === 'HEAD' ? '' : body);
});
/** A text message as a server's WebSocket frame. */
function frame(text) {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff]), payload]);
}

server.on('upgrade', ({ method, url, headers, rawHeaders }, socket) => {
  const received = JSON.stringify({ method, path: url, headers, rawHeaders });
  const key = headers['sec-websocket-key'];
  if (key === undefined) {
    // Not a WebSocket handshake (RFC 6455, section 4.2.1): the response is that of other requests.
    const length = Buffer.byteLength(received);
    socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${received}`);
    return;
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.end(frame(received));
});
server.keepAliveTimeout = 120_000;
server.listen(Number(process.argv[2] ?? 0), process.argv[3] ?? '127.0.0.1', () => {
  console.log(JSON.stringify({ listening: server.address().port }));
});
// As process 1 of a container, node has no default signal handler. Running requests finish first.
process.once('SIGTERM', () => server.close(() => process.exit(0)));

// A server on loopback: an application that waits for the user's browser.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

/** Records the URLs of requests, and responds with `handle(request, response)`. */
export async function listen(host, handle, tls) {
  const requests = [];
  const record = (request, response) => {
    if (!request.url.startsWith('/favicon')) requests.push(request.url);
    handle(request, response);
  };
  const server = tls ? createSecureServer(tls, record) : createServer(record);
  server.listen(0, host);
  await once(server, 'listening');
  return { port: server.address().port, requests, close: () => { server.close(); server.closeAllConnections(); } };
}

export const html = (response, body) => response.writeHead(200, { 'content-type': 'text/html' }).end(body);

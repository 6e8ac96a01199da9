// A server on loopback: the application that waits for a person's browser.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

/** Keeps what it is asked for, and answers with `answer(request, response)`. */
export async function listen(host, answer, tls) {
  const requests = [];
  const take = (request, response) => {
    if (!request.url.startsWith('/favicon')) requests.push(request.url);
    answer(request, response);
  };
  const server = tls ? createSecureServer(tls, take) : createServer(take);
  server.listen(0, host);
  await once(server, 'listening');
  return { port: server.address().port, requests, close: () => { server.close(); server.closeAllConnections(); } };
}

export const html = (response, body) => response.writeHead(200, { 'content-type': 'text/html' }).end(body);

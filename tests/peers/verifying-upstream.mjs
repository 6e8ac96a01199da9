// An upstream that verifies identity assertions: it verifies `X-Vestibule-Assertion` with jose and the keys that Vestibule
// publishes, and answers 401 to all other requests.
//
//   node verifying-upstream.mjs <port> <address of the JWK Set> <issuer> <audience>
//
// 200 is JSON: the assertion's header and claims, and the headers that came with it.

import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [port, keysAt, issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(keysAt), { cooldownDuration: 0 });

async function answer(req) {
  const assertion = req.headers['x-vestibule-assertion'] ?? '';
  const { protectedHeader, payload } = await jwtVerify(assertion, keys, { issuer, audience });
  return { protectedHeader, payload, headers: req.headers };
}

const server = createServer((req, res) => {
  req.resume();
  const send = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  answer(req).then((body) => send(200, body), (error) => send(401, { error: error.code }));
});
server.keepAliveTimeout = 120_000;
server.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address().port })));

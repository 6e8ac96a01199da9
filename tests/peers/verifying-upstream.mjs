// An upstream that verifies identity assertions: it verifies `X-Vestibule-Assertion` with jose and the keys that Vestibule
// publishes, and rejects all other requests with 401.
//
//   node verifying-upstream.mjs <port> <URL of the JWK Set> <issuer> <audience>
//
// The body of 200 is JSON with the assertion's header and claims, and all received headers.

import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [port, keySetUrl, issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(keySetUrl), { cooldownDuration: 0 });

async function verify(req) {
  const assertion = req.headers['x-vestibule-assertion'] ?? '';
  const { protectedHeader, payload } = await jwtVerify(assertion, keys, { issuer, audience });
  return { protectedHeader, payload, headers: req.headers };
}

const server = createServer((req, res) => {
  req.resume();
  const send = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  verify(req).then((body) => send(200, body), (error) => send(401, { error: error.code }));
});
server.keepAliveTimeout = 120_000;
server.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address().port })));

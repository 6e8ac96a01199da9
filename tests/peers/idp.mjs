// A real OpenID Provider on loopback for the tests and the demo.
//
//   node idp.mjs <settings.json>
//
// Prints one line `{"listening":port,"admin":port}` when it answers. The second port is the tests'
// side door: POST /keys/rotate, /pause, /resume, /account, /client and GET /stats. Settings are described in
// idp/settings.mjs. Everything it does as a provider is the npm package `oidc-provider`; this file
// only starts it, renders the sign-in form and watches the traffic. Beside its own userinfo endpoint
// it has `GET /user` in GitHub's shape, for clients without OpenID Connect: idp/github.mjs.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { createGate } from './idp/gate.mjs';
import { handleInteraction } from './idp/interaction.mjs';
import { createKeys } from './idp/keys.mjs';
import { createProvider } from './idp/provider.mjs';
import { readSettings } from './idp/settings.mjs';
import { createSideDoor } from './idp/side_door.mjs';
import { createStats } from './idp/stats.mjs';
import { createAdapter } from './idp/storage.mjs';

function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server.address().port));
  });
}

function serverOf({ tls }, handle) {
  if (!tls) return createServer(handle);
  return createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, handle);
}

/** The part of the issuer's URL after its origin: Keycloak has `/realms/name`, most have none. */
function mountPath(issuer) {
  return new URL(issuer).pathname.replace(/\/$/, '');
}

async function main(file) {
  const settings = readSettings(JSON.parse(readFileSync(file, 'utf8')));
  const world = {
    settings,
    stats: createStats(),
    gate: createGate(),
    keys: await createKeys(),
    adapter: createAdapter(),
    accounts: new Map(settings.accounts.map((account) => [account.sub, account])),
    issuedJwts: new Map(),
    provider: undefined,
  };

  const server = serverOf(settings, (req, res) => {
    world.gate.pass(req, res, () => serve(world, req, res));
  });
  // A client's pool must never lose the race against a closing idle connection.
  server.keepAliveTimeout = 120_000;
  const port = await listen(server, settings.port, settings.host);
  settings.issuer = (settings.issuer ?? 'http://127.0.0.1:{port}').replace('{port}', String(port));
  world.base = mountPath(settings.issuer);
  world.renew = () => {
    world.provider = createProvider(world);
    world.callback = world.provider.callback();
  };
  world.renew();

  const admin = await listen(createSideDoor(world), settings.adminPort, settings.host);
  console.log(JSON.stringify({ listening: port, admin, issuer: settings.issuer }));
}

function serve(world, req, res) {
  if (!req.url.startsWith(`${world.base}/`)) {
    res.writeHead(404).end();
    return;
  }
  // oidc-provider finds the path it is mounted under by comparing the two.
  req.originalUrl = req.url;
  req.url = req.url.slice(world.base.length);
  const answer = req.url.startsWith('/interaction/')
    ? handleInteraction(world, req, res)
    : world.callback(req, res);
  Promise.resolve(answer).catch((error) => {
    console.error(error);
    if (!res.headersSent) res.writeHead(500);
    res.end();
  });
}

if (process.argv.length !== 3) {
  console.error('usage: node idp.mjs <settings.json>');
  process.exit(2);
}
await main(process.argv[2]);

// A real OpenID Provider on loopback for the tests and the demo.
//
//   node idp.mjs <settings.json>
//
// Prints one line `{"listening":port,"admin":port}` when it is ready. The second port is for the
// tests: POST /keys/rotate, /pause, /resume, /account, /account/delete, /client and GET /stats. Settings are described in
// idp/settings.mjs. The provider itself is the npm package `oidc-provider`; this file only starts it,
// renders the sign-in form and counts requests. In addition to the userinfo endpoint, it has `GET /user`
// in GitHub's format, for clients without OpenID Connect: idp/github.mjs.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { createAdminApi } from './idp/admin_api.mjs';
import { createGate } from './idp/gate.mjs';
import { handleInteraction } from './idp/interaction.mjs';
import { createKeys } from './idp/keys.mjs';
import { createProvider } from './idp/provider.mjs';
import { readSettings } from './idp/settings.mjs';
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

/** The path of the issuer's URL. Keycloak has `/realms/name`, most providers have none. */
function mountPath(issuer) {
  return new URL(issuer).pathname.replace(/\/$/, '');
}

async function main(file) {
  const settings = readSettings(JSON.parse(readFileSync(file, 'utf8')));
  const state = {
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
    state.gate.pass(req, res, () => serve(state, req, res));
  });
  // Idle connections stay open longer than in any client's pool, so that no client uses a closing one.
  server.keepAliveTimeout = 120_000;
  const port = await listen(server, settings.port, settings.host);
  settings.issuer = (settings.issuer ?? 'http://127.0.0.1:{port}').replace('{port}', String(port));
  state.base = mountPath(settings.issuer);
  state.renew = () => {
    state.provider = createProvider(state);
    state.callback = state.provider.callback();
  };
  state.renew();

  const admin = await listen(createAdminApi(state), settings.adminPort, settings.host);
  console.log(JSON.stringify({ listening: port, admin, issuer: settings.issuer }));
}

function serve(state, req, res) {
  if (!req.url.startsWith(`${state.base}/`)) {
    res.writeHead(404).end();
    return;
  }
  // oidc-provider compares both URLs to find its mount path.
  req.originalUrl = req.url;
  req.url = req.url.slice(state.base.length);
  const response = req.url.startsWith('/interaction/')
    ? handleInteraction(state, req, res)
    : state.callback(req, res);
  Promise.resolve(response).catch((error) => {
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

// The tests' administration API on a separate port: rotate keys, pause, change or delete an account, change a client, read counters.

import { createServer } from 'node:http';

import { claimsByScope } from './settings.mjs';

async function body(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : {};
}

function changeAccount(state, change) {
  const account = state.accounts.get(change.sub);
  if (!account) throw new Error(`no account ${change.sub}`);
  const known = new Set(Object.values(claimsByScope(state.settings)).flat());
  const unknown = Object.keys(change.claims ?? {}).filter((name) => !known.has(name));
  if (unknown.length) throw new Error(`list these in claimNames first: ${unknown.join(', ')}`);
  Object.assign(account, change);
  return {};
}

function changeClient(state, change) {
  const client = state.settings.clients.find((known) => known.client_id === change.client_id);
  if (!client) throw new Error(`no client ${change.client_id}`);
  Object.assign(client, change);
  state.renew();
}

function deleteAccount(state, { sub }) {
  if (!state.accounts.delete(sub)) throw new Error(`no account ${sub}`);
  state.adapter.endSessions(sub);
}

const ROUTES = {
  'GET /stats': (state) => state.stats.read(),
  'POST /stats/reset': (state) => state.stats.reset(),
  'POST /keys/rotate': async (state, { old }) => {
    await state.keys.rotate(old);
    state.renew();
  },
  'POST /pause': (state, { how }) => state.gate.pause(how),
  'POST /resume': (state) => state.gate.resume(),
  'POST /account': changeAccount,
  'POST /account/delete': deleteAccount,
  'POST /client': changeClient,
};

export function createAdminApi(state) {
  return createServer(async (req, res) => {
    const route = ROUTES[`${req.method} ${req.url}`];
    try {
      if (!route) throw new Error(`no such route: ${req.method} ${req.url}`);
      const result = (await route(state, await body(req))) ?? {};
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
    } catch (error) {
      res.writeHead(400, { 'content-type': 'text/plain' }).end(String(error.message));
    }
  });
}

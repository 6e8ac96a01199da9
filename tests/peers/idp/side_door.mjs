// The tests' side door, on a port of its own: rotate keys, stop answering, change an account or a client, count.

import { createServer } from 'node:http';

import { claimsByScope } from './settings.mjs';

async function body(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : {};
}

function changeAccount(world, change) {
  const account = world.accounts.get(change.sub);
  if (!account) throw new Error(`no account ${change.sub}`);
  const known = new Set(Object.values(claimsByScope(world.settings)).flat());
  const unknown = Object.keys(change.claims ?? {}).filter((name) => !known.has(name));
  if (unknown.length) throw new Error(`list these in claimNames first: ${unknown.join(', ')}`);
  Object.assign(account, change);
  return {};
}

function changeClient(world, change) {
  const client = world.settings.clients.find((known) => known.client_id === change.client_id);
  if (!client) throw new Error(`no client ${change.client_id}`);
  Object.assign(client, change);
  world.renew();
}

const ROUTES = {
  'GET /stats': (world) => world.stats.read(),
  'POST /stats/reset': (world) => world.stats.reset(),
  'POST /keys/rotate': async (world, { old }) => {
    await world.keys.rotate(old);
    world.renew();
  },
  'POST /pause': (world, { how }) => world.gate.pause(how),
  'POST /resume': (world) => world.gate.resume(),
  'POST /account': changeAccount,
  'POST /client': changeClient,
};

export function createSideDoor(world) {
  return createServer(async (req, res) => {
    const route = ROUTES[`${req.method} ${req.url}`];
    try {
      if (!route) throw new Error(`no such route: ${req.method} ${req.url}`);
      const answer = (await route(world, await body(req))) ?? {};
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      res.writeHead(400, { 'content-type': 'text/plain' }).end(String(error.message));
    }
  });
}

// An identity provider on loopback with configurable faults.
//
//   node faulty-idp.mjs <port>
//
// Prints one line `{"listening":port,"admin":port,"issuer":url}` when it is ready. The npm
// package `oauth2-mock-server` is the provider. Without a fault, all answers are correct. This file replaces
// answers that the package's events cannot change, and signs tokens with node's crypto module, because the
// package cannot create invalid signatures.
//
// The second port is for the tests. POST /fault `{"code": …, "fault": {…}}` sets the faults of the login
// with this code, so that logins do not affect each other:
//
//   "idToken": "absent", or a token:   {"claims": {}, "header": {}, "signedBy": "provider"}
//   "accessToken": a token, or         {"text": "opaque"}
//   "token", "userinfo": an answer:    {"status": 200, "type": "text/html", "location": "/path", "body": "",
//                                       "claims": {}, "padding": 0}
//
// Claims override the correct ones: null removes a claim, {"in": 60} is a time. An answer's `body` replaces
// the whole correct body, as text; `claims` and `padding` (in bytes) are added to it.
// POST /fault `{"path": "/jwks", "fault": an answer or null}` sets or removes the fault of a path for all requests.
// Userinfo with `signedBy` is a token. GET /stats returns the number of requests by path. GET /issued returns
// every issued code and token.

import { createHash, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';

import { Events, OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const HOST = '127.0.0.1';
const ROLES = { resource_access: { litellm: { roles: ['llm-admins'] } } };
const PERSON = { sub: 'johndoe', email: 'johndoe@example.com', email_verified: true };

const rs256 = (key) => (text) => sign('sha256', Buffer.from(text), key).toString('base64url');
const hs256 = (secret) => (text) => createHmac('sha256', secret).update(text).digest('base64url');

/** Maps the `signedBy` of a fault to the token's `alg` and its signature. */
const SIGNERS = {
  provider: ({ key }) => ['RS256', rs256({ key, format: 'jwk' })],
  stranger: ({ stranger }) => ['RS256', rs256(stranger)],
  nobody: () => ['none', () => ''],
  'public key as PEM': ({ key }) => ['HS256', hs256(createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))],
  'public key as modulus': ({ key }) => ['HS256', hs256(key.n)],
  'client secret': (_state, client) => ['HS256', hs256(client.secret)],
};

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function overlay(claims, changes = {}) {
  const now = Math.floor(Date.now() / 1000);
  const timed = (value) => (typeof value?.in === 'number' ? now + value.in : value);
  const merged = { ...claims, ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, timed(value)])) };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** The correct token with its fault applied. */
function token(state, client, right, further, fault = {}) {
  if (fault.text !== undefined) return fault.text;
  const [header, payload] = right.split('.').slice(0, 2).map(decoded);
  const [alg, signature] = SIGNERS[fault.signedBy ?? 'provider'](state, client);
  const text = `${encoded(overlay({ ...header, alg }, fault.header))}.${encoded(overlay({ ...payload, ...further }, fault.claims))}`;
  return `${text}.${signature(text)}`;
}

/** OpenID Connect Core, section 3.1.3.6. */
function atHash(accessToken) {
  return createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url');
}

function basic(req) {
  const [id, secret] = Buffer.from(req.headers.authorization?.split(' ')[1] ?? '', 'base64').toString().split(':').map(decodeURIComponent);
  return { id, secret };
}

function answerTokens(state, answer, req) {
  if (answer.statusCode !== 200) return;
  const client = basic(req);
  const fault = state.faults.get(req.body.code) ?? {};
  const { body } = answer;
  body.access_token = token(state, client, body.access_token, { aud: 'litellm', azp: client.id, ...ROLES }, fault.accessToken);
  body.id_token = token(state, client, body.id_token, { at_hash: atHash(body.access_token) }, fault.idToken);
  if (fault.idToken === 'absent') delete body.id_token;
  state.issued.push(...['access_token', 'id_token', 'refresh_token'].map((name) => body[name]).filter(Boolean));
  state.faultsOfTokens.set(`Bearer ${body.access_token}`, fault);
  spoil(state, answer, req, fault.token);
}

function answerUserinfo(state, answer, req) {
  Object.assign(answer.body, PERSON);
  const fault = state.faultsOfTokens.get(req.headers.authorization)?.userinfo;
  spoil(state, answer, req, fault?.signedBy ? signedUserinfo(state, answer.body, fault) : fault);
}

/** OpenID Connect Core, section 5.3.2: userinfo may be a token. */
function signedUserinfo(state, person, fault) {
  const right = `${encoded({ kid: state.key.kid })}.${encoded({ iss: state.issuer.url, aud: 'vestibule', ...person })}`;
  return { type: 'application/jwt', body: token(state, {}, right, {}, fault) };
}

/** Applies a fault to an answer. `serve` sends answers that the package cannot produce. */
function spoil(state, answer, req, fault) {
  if (!fault) return;
  const body = { ...overlay(answer.body, fault.claims), ...(fault.padding && { padding: 'x'.repeat(fault.padding) }) };
  state.instead.set(req, { ...fault, body: fault.body ?? JSON.stringify(body) });
}

function serve(state, req, res) {
  const { pathname } = new URL(req.url, state.issuer.url);
  state.requests[pathname] = (state.requests[pathname] ?? 0) + 1;
  const end = res.end.bind(res);
  res.end = (...right) => {
    const fault = state.instead.get(req) ?? state.spoiled[pathname];
    if (!fault) return end(...right);
    const { status = 200, type = 'application/json', location, body } = fault;
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
    return res.writeHead(status, { ...headers, ...(location && { location: state.issuer.url + location }) }), end(body);
  };
  state.service.requestHandler(req, res);
}

async function json(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}

async function sideDoor(state, req, res) {
  const answer = (value) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (req.url === '/stats') return answer(state.requests);
  if (req.url === '/issued') return answer(state.issued);
  if (req.method !== 'POST' || req.url !== '/fault') return res.writeHead(404).end();
  const { code, path, fault } = await json(req);
  if (path) state.spoiled[path] = fault;
  else state.faults.set(code, fault);
  return answer({});
}

function listen(handler, port) {
  const server = createServer(handler);
  // Idle connections stay open longer than in any client's pool, so that no client uses a closing one.
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => resolve(server.address().port));
  });
}

async function main(wanted) {
  const issuer = new OAuth2Issuer();
  const service = new OAuth2Service(issuer);
  const state = {
    issuer,
    service,
    key: await issuer.keys.generate('RS256', { kid: 'the-only-key' }),
    stranger: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    faults: new Map(),
    faultsOfTokens: new Map(),
    instead: new WeakMap(),
    spoiled: {},
    issued: [],
    requests: {},
  };
  service.on(Events.BeforeAuthorizeRedirect, ({ url }) => state.issued.push(url.searchParams.get('code')));
  service.on(Events.BeforeResponse, (answer, req) => answerTokens(state, answer, req));
  service.on(Events.BeforeUserinfo, (answer, req) => answerUserinfo(state, answer, req));
  const port = await listen((req, res) => serve(state, req, res), wanted);
  issuer.url = `http://${HOST}:${port}`;
  const admin = await listen((req, res) => sideDoor(state, req, res), 0);
  console.log(JSON.stringify({ listening: port, admin, issuer: issuer.url }));
}

if (process.argv.length !== 3) {
  console.error('usage: node faulty-idp.mjs <port>');
  process.exit(2);
}
await main(Number(process.argv[2]));

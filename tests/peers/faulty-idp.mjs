// An identity provider on loopback with configurable faults.
//
//   node faulty-idp.mjs <port>
//
// Prints one line `{"listening":port,"admin":port,"issuer":url}` when it is ready. The npm
// package `oauth2-mock-server` is the provider. Without a fault, all responses are correct. This file replaces
// responses that the package's events cannot change, and signs tokens with node's crypto module, because the
// package cannot create invalid signatures.
//
// The second port is for the tests. POST /fault `{"code": …, "fault": {…}}` sets the faults of the login
// with this code, so that logins do not affect each other. The code "refresh" is for all responses to refresh tokens:
//
//   "idToken": "absent", or a token:   {"claims": {}, "raw": {}, "header": {}, "signedBy": "provider"}
//   "accessToken": a token, or         {"text": "opaque"}
//   "token", "userinfo": a response:   {"status": 200, "type": "text/html", "location": "/path", "body": "",
//                                       "bytes": "base64", "gzip": true, "headers": {}, "claims": {}, "raw": {}, "padding": 0}
//
// Claims override the correct ones: null removes a claim, {"in": 60} is a time. A response's `body` replaces
// the whole correct body, as text, or `bytes` in base64; `claims` and `padding` (in bytes) are added to it. With `gzip` it is
// compressed, unless the request accepts only an answer without encoding. `raw`, of a token or a response,
// adds claims whose values are JSON text, for numbers that JavaScript cannot represent.
// POST /fault `{"path": "/jwks", "fault": a response or null}` sets or removes the fault of a path for all requests.
// Userinfo with `signedBy` is a token. POST /logout-token `{"client": {"id", "secret"}, "fault": a token}` returns a logout
// token. GET /stats returns the number of requests by path. GET /issued returns
// every issued code and token.

import { createHash, createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';

import { Events, OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const HOST = '127.0.0.1';
const ROLES = { resource_access: { litellm: { roles: ['llm-admins'] } } };
const USER = { sub: 'johndoe', email: 'johndoe@example.com', email_verified: true };

const rs256 = (key) => (text) => sign('sha256', Buffer.from(text), key).toString('base64url');
const hs256 = (secret) => (text) => createHmac('sha256', secret).update(text).digest('base64url');

/** Maps the `signedBy` of a fault to the token's `alg` and its signature. */
const SIGNERS = {
  provider: ({ key }) => ['RS256', rs256({ key, format: 'jwk' })],
  'unrelated key': ({ unrelatedKey }) => ['RS256', rs256(unrelatedKey)],
  none: () => ['none', () => ''],
  'public key as PEM': ({ key }) => ['HS256', hs256(createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))],
  'public key as modulus': ({ key }) => ['HS256', hs256(key.n)],
  'client secret': (_state, client) => ['HS256', hs256(client.secret)],
};

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
const encoded = (value, raw) => Buffer.from(written(value, raw)).toString('base64url');

/** Writes an object as JSON, with members whose values are JSON text. */
function written(object, raw = {}) {
  const kept = Object.entries(object).filter(([name]) => !(name in raw));
  const members = [...kept.map(([name, value]) => [name, JSON.stringify(value)]), ...Object.entries(raw)];
  return `{${members.filter(([, text]) => text !== undefined).map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

function overlay(claims, changes = {}) {
  const now = Math.floor(Date.now() / 1000);
  const timed = (value) => (typeof value?.in === 'number' ? now + value.in : value);
  const merged = { ...claims, ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, timed(value)])) };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** The correct token with its fault applied. */
function token(state, client, correct, additional, fault = {}) {
  if (fault.text !== undefined) return fault.text;
  const [header, payload] = correct.split('.').slice(0, 2).map(decoded);
  const [alg, signature] = SIGNERS[fault.signedBy ?? 'provider'](state, client);
  const text = `${encoded(overlay({ ...header, alg }, fault.header))}.${encoded(overlay({ ...payload, ...additional }, fault.claims), fault.raw)}`;
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

function adjustTokenResponse(state, response, req) {
  if (response.statusCode !== 200) return;
  const client = basic(req);
  const fault = state.faults.get(req.body.grant_type === 'refresh_token' ? 'refresh' : req.body.code) ?? {};
  const { body } = response;
  // Tokens of concurrent logins would be equal without an id, and so would the faults of their userinfo.
  body.access_token = token(state, client, body.access_token, { aud: 'litellm', azp: client.id, jti: randomUUID(), ...ROLES }, fault.accessToken);
  body.id_token = token(state, client, body.id_token, { at_hash: atHash(body.access_token) }, fault.idToken);
  if (fault.idToken === 'absent') delete body.id_token;
  state.issued.push(...['access_token', 'id_token', 'refresh_token'].map((name) => body[name]).filter(Boolean));
  state.faultsOfTokens.set(`Bearer ${body.access_token}`, fault);
  applyFault(state, response, req, fault.token);
}

function adjustUserinfoResponse(state, response, req) {
  Object.assign(response.body, USER);
  const fault = state.faultsOfTokens.get(req.headers.authorization)?.userinfo;
  applyFault(state, response, req, fault?.signedBy ? signedUserinfo(state, response.body, fault) : fault);
}

/** OpenID Connect Core, section 5.3.2: userinfo may be a token. */
function signedUserinfo(state, user, fault) {
  const correct = `${encoded({ kid: state.key.kid })}.${encoded({ iss: state.issuer.url, aud: 'vestibule', ...user })}`;
  return { type: fault.type ?? 'application/jwt', body: token(state, {}, correct, {}, fault) };
}

/** A logout token of Back-Channel Logout 1.0. Its claims need `sub` or `sid`. */
function logoutToken(state, { client, fault }) {
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: 'logout+jwt', kid: state.key.kid };
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const claims = { iss: state.issuer.url, aud: client.id, iat: now, exp: now + 120, jti: randomUUID(), events };
  return token(state, client, `${encoded(header)}.${encoded(claims)}`, {}, fault);
}

/** Applies a fault to a response. `serve` sends responses that the package cannot produce. */
function applyFault(state, response, req, fault) {
  if (!fault) return;
  const body = { ...overlay(response.body, fault.claims), ...(fault.padding && { padding: 'x'.repeat(fault.padding) }) };
  state.replacements.set(req, { ...fault, body: fault.body ?? written(body, fault.raw) });
}

/** A server may compress for a client that names no encoding (RFC 9110, section 12.5.3). */
function encodedBody({ body, bytes, gzip }, req) {
  const plain = bytes === undefined ? body : Buffer.from(bytes, 'base64');
  if (!gzip || req.headers['accept-encoding'] === 'identity') return { body: plain };
  return { body: gzipSync(plain), 'content-encoding': 'gzip' };
}

function serve(state, req, res) {
  const { pathname } = new URL(req.url, state.issuer.url);
  state.requests[pathname] = (state.requests[pathname] ?? 0) + 1;
  const end = res.end.bind(res);
  res.end = (...args) => {
    const fault = state.replacements.get(req) ?? state.pathFaults[pathname];
    if (!fault) return end(...args);
    const { status = 200, type = 'application/json', location, headers: more } = fault;
    const { body, ...encoding } = encodedBody(fault, req);
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body), ...encoding, ...more };
    return res.writeHead(status, { ...headers, ...(location && { location: state.issuer.url + location }) }), end(body);
  };
  state.service.requestHandler(req, res);
}

async function json(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}

async function adminApi(state, req, res) {
  const respond = (value) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (req.url === '/stats') return respond(state.requests);
  if (req.url === '/issued') return respond(state.issued);
  if (req.method === 'POST' && req.url === '/logout-token') return respond(logoutToken(state, await json(req)));
  if (req.method !== 'POST' || req.url !== '/fault') return res.writeHead(404).end();
  const { code, path, fault } = await json(req);
  if (path) state.pathFaults[path] = fault;
  else state.faults.set(code, fault);
  return respond({});
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

async function main(requestedPort) {
  const issuer = new OAuth2Issuer();
  const service = new OAuth2Service(issuer);
  const state = {
    issuer,
    service,
    key: await issuer.keys.generate('RS256', { kid: 'the-only-key' }),
    unrelatedKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    faults: new Map(),
    faultsOfTokens: new Map(),
    replacements: new WeakMap(),
    pathFaults: {},
    issued: [],
    requests: {},
  };
  service.on(Events.BeforeAuthorizeRedirect, ({ url }) => state.issued.push(url.searchParams.get('code')));
  service.on(Events.BeforeResponse, (response, req) => adjustTokenResponse(state, response, req));
  service.on(Events.BeforeUserinfo, (response, req) => adjustUserinfoResponse(state, response, req));
  const port = await listen((req, res) => serve(state, req, res), requestedPort);
  issuer.url = `http://${HOST}:${port}`;
  const admin = await listen((req, res) => adminApi(state, req, res), 0);
  console.log(JSON.stringify({ listening: port, admin, issuer: issuer.url }));
}

if (process.argv.length !== 3) {
  console.error('usage: node faulty-idp.mjs <port>');
  process.exit(2);
}
await main(Number(process.argv[2]));

// An identity provider on loopback that goes wrong when it is told to.
//
//   node faulty-idp.mjs <port>
//
// Prints one line `{"listening":port,"admin":port,"issuer":url}` when it answers. The npm package
// `oauth2-mock-server` is the provider. Without a fault everything it says is right; what is faulty
// beyond its events is put in its place here, and tokens are signed here with node's own crypto, since
// the package refuses to sign as badly as the tests need it.
//
// The second port is the tests' side door. POST /fault `{"code": …, "fault": {…}}` says what is to be
// wrong with the one login that has this code, so that logins don't disturb each other:
//
//   "idToken": "absent", or a token:   {"claims": {}, "header": {}, "signedBy": "provider"}
//   "accessToken": a token, or         {"text": "opaque"}
//   "token", "userinfo": an answer:    {"status": 200, "type": "text/html", "location": "/path", "body": "",
//                                       "claims": {}, "padding": 0}
//
// Claims are laid over the right ones: null leaves one out, {"in": 60} is a time. An answer's `body`
// takes the whole place of the right one, as text; `claims` and `padding` (in bytes) are added to that.
// POST /fault `{"path": "/jwks", "fault": an answer or null}` spoils a path for everybody until further notice.
// Userinfo that is `signedBy` somebody is a token itself. GET /stats counts requests by path; GET /issued lists every code and token that was handed out.

import { createHash, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';

import { Events, OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const HOST = '127.0.0.1';
const ROLES = { resource_access: { litellm: { roles: ['llm-admins'] } } };
const PERSON = { sub: 'johndoe', email: 'johndoe@example.com', email_verified: true };

const rs256 = (key) => (text) => sign('sha256', Buffer.from(text), key).toString('base64url');
const hs256 = (secret) => (text) => createHmac('sha256', secret).update(text).digest('base64url');

/** By the name in a fault: the algorithm that the token claims, and how it is signed. */
const SIGNERS = {
  provider: ({ key }) => ['RS256', rs256({ key, format: 'jwk' })],
  stranger: ({ stranger }) => ['RS256', rs256(stranger)],
  nobody: () => ['none', () => ''],
  'public key as PEM': ({ key }) => ['HS256', hs256(createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))],
  'public key as modulus': ({ key }) => ['HS256', hs256(key.n)],
  'client secret': (_world, client) => ['HS256', hs256(client.secret)],
};

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function overlay(claims, changes = {}) {
  const now = Math.floor(Date.now() / 1000);
  const timed = (value) => (typeof value?.in === 'number' ? now + value.in : value);
  const merged = { ...claims, ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, timed(value)])) };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** The right token again, but for its fault. */
function token(world, client, right, further, fault = {}) {
  if (fault.text !== undefined) return fault.text;
  const [header, payload] = right.split('.').slice(0, 2).map(decoded);
  const [alg, signature] = SIGNERS[fault.signedBy ?? 'provider'](world, client);
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

function answerTokens(world, answer, req) {
  if (answer.statusCode !== 200) return;
  const client = basic(req);
  const fault = world.faults.get(req.body.code) ?? {};
  const { body } = answer;
  body.access_token = token(world, client, body.access_token, { aud: 'litellm', azp: client.id, ...ROLES }, fault.accessToken);
  body.id_token = token(world, client, body.id_token, { at_hash: atHash(body.access_token) }, fault.idToken);
  if (fault.idToken === 'absent') delete body.id_token;
  world.issued.push(...['access_token', 'id_token', 'refresh_token'].map((name) => body[name]).filter(Boolean));
  world.faultsOfTokens.set(`Bearer ${body.access_token}`, fault);
  spoil(world, answer, req, fault.token);
}

function answerUserinfo(world, answer, req) {
  Object.assign(answer.body, PERSON);
  const fault = world.faultsOfTokens.get(req.headers.authorization)?.userinfo;
  spoil(world, answer, req, fault?.signedBy ? signedUserinfo(world, answer.body, fault) : fault);
}

/** OpenID Connect Core, section 5.3.2: userinfo may be a token itself. */
function signedUserinfo(world, person, fault) {
  const right = `${encoded({ kid: world.key.kid })}.${encoded({ iss: world.issuer.url, aud: 'vestibule', ...person })}`;
  return { type: 'application/jwt', body: token(world, {}, right, {}, fault) };
}

/** Changes an answer by its fault; what the package can't say itself is put in its place when it ends. */
function spoil(world, answer, req, fault) {
  if (!fault) return;
  const body = { ...overlay(answer.body, fault.claims), ...(fault.padding && { padding: 'x'.repeat(fault.padding) }) };
  world.instead.set(req, { ...fault, body: fault.body ?? JSON.stringify(body) });
}

function serve(world, req, res) {
  const { pathname } = new URL(req.url, world.issuer.url);
  world.requests[pathname] = (world.requests[pathname] ?? 0) + 1;
  const end = res.end.bind(res);
  res.end = (...right) => {
    const fault = world.instead.get(req) ?? world.spoiled[pathname];
    if (!fault) return end(...right);
    const { status = 200, type = 'application/json', location, body } = fault;
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
    return res.writeHead(status, { ...headers, ...(location && { location: world.issuer.url + location }) }), end(body);
  };
  world.service.requestHandler(req, res);
}

async function json(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}

async function sideDoor(world, req, res) {
  const answer = (value) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (req.url === '/stats') return answer(world.requests);
  if (req.url === '/issued') return answer(world.issued);
  if (req.method !== 'POST' || req.url !== '/fault') return res.writeHead(404).end();
  const { code, path, fault } = await json(req);
  if (path) world.spoiled[path] = fault;
  else world.faults.set(code, fault);
  return answer({});
}

function listen(handler, port) {
  const server = createServer(handler);
  // A client's pool must never lose the race against a closing idle connection.
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => resolve(server.address().port));
  });
}

async function main(wanted) {
  const issuer = new OAuth2Issuer();
  const service = new OAuth2Service(issuer);
  const world = {
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
  service.on(Events.BeforeAuthorizeRedirect, ({ url }) => world.issued.push(url.searchParams.get('code')));
  service.on(Events.BeforeResponse, (answer, req) => answerTokens(world, answer, req));
  service.on(Events.BeforeUserinfo, (answer, req) => answerUserinfo(world, answer, req));
  const port = await listen((req, res) => serve(world, req, res), wanted);
  issuer.url = `http://${HOST}:${port}`;
  const admin = await listen((req, res) => sideDoor(world, req, res), 0);
  console.log(JSON.stringify({ listening: port, admin, issuer: issuer.url }));
}

if (process.argv.length !== 3) {
  console.error('usage: node faulty-idp.mjs <port>');
  process.exit(2);
}
await main(Number(process.argv[2]));

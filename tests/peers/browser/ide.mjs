// A user authorizes applications: programs that listen on loopback, an editor with its own URL scheme, and a web
// application. Pages of other origins fail to create keys.
//
//   node ide.mjs <base-url> <user> <password> <artifacts-dir>
//
// Each application is a server of this script.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FLAGS, expect, run } from './chromium.mjs';
import { html, listen } from './server.mjs';

const [base, user, password, artifacts] = process.argv.slice(2);
const WEB_APP = 'https://app.example.com';
const ELSEWHERE = 'https://elsewhere.example';
const DONE = `${ELSEWHERE}/done`;

/** A self-signed certificate and its key. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-ide-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1',
    '-subj', '/CN=app.example.com', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return tls;
}

const keyRequestUrl = (redirect, state) => {
  const query = new URLSearchParams({ response_type: 'oauth_token', state, ...(redirect && { redirect_uri: redirect }) });
  return `${base}/sso/key/generate?${query}`;
};
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();
const authorize = (page) => page.getByRole('button', { name: 'Authorize' }).click();

async function signIn(page) {
  await page.locator('#username').fill(user);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A program opens the browser with its URL. */
async function loopback(page, report, shoot) {
  const program = await listen('127.0.0.1', (_, response) => response.writeHead(302, { location: DONE }).end());
  const other = await listen('127.0.0.1', (_, response) => html(response, 'other'));
  await page.goto(keyRequestUrl(`http://127.0.0.1:${program.port}/callback?run=7`, 's t&1'));
  await signIn(page);
  await heading(page, `Authorize 127.0.0.1:${program.port}?`);
  await shoot('consent');
  expect(program.requests.length === 0, 'no request to the program before the user agrees');
  await authorize(page);
  await page.waitForURL(DONE);
  report.loopback = program.requests;

  await page.goto(keyRequestUrl(`http://127.0.0.1:${other.port}/another`, 'x'));
  await heading(page, `Authorize 127.0.0.1:${other.port}?`);
  report.anotherPath = [...other.requests];
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('other').waitFor();
  report.refused = other.requests;

  const six = await listen('::1', (_, response) => html(response, 'got it'));
  await page.goto(keyRequestUrl(`http://[::1]:${six.port}/callback`, '6'));
  await authorize(page);
  await page.getByText('got it').waitFor();
  report.ipv6 = six.requests;
  [program, other, six].forEach((server) => server.close());
}

/** No program handles the scheme here, so the redirect is read from the response. */
async function editor(context, report) {
  const page = await context.newPage();
  await page.goto(keyRequestUrl('vscode://publisher.ext/callback', 'editor'));
  await heading(page, 'Authorize vscode://publisher.ext?');
  const debugSession = await context.newCDPSession(page);
  await debugSession.send('Network.enable');
  const redirect = new Promise((resolve) => {
    debugSession.on('Network.responseReceivedExtraInfo', ({ statusCode, headers }) => {
      const name = Object.keys(headers).find((header) => header.toLowerCase() === 'location');
      if (name) resolve({ status: statusCode, location: headers[name] });
    });
  });
  await authorize(page);
  report.editor = await redirect;
  await page.close();
}

/** A click on a page of another origin, also through a sign-in, and a click without `Referer`: the user is asked. */
async function clickElsewhere(page) {
  for (const address of [ELSEWHERE, `${ELSEWHERE}/through-login`, `${WEB_APP}/noreferrer`]) {
    await page.goto(address);
    await page.getByRole('link', { name: 'Connect' }).click();
    await heading(page, 'Authorize app.example.com?');
  }
}

/** The user authorizes the application once. After that, a click is sufficient. */
async function webApplication(page, report, shoot, requests) {
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await heading(page, 'Authorize app.example.com?');
  await authorize(page);
  await page.waitForURL(`${WEB_APP}/cb?*`);
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await page.waitForURL(`${WEB_APP}/cb?*`);
  report.web = requests.filter((url) => url.includes('access_token'));

  // Without a click, the page asks again.
  await page.goto(`${WEB_APP}/led`);
  await heading(page, 'Authorize app.example.com?');
  report.keysAfterScript = requests.filter((url) => url.includes('access_token')).length;

  await clickElsewhere(page);
  report.keysAfterForeignClicks = requests.filter((url) => url.includes('access_token')).length;

  // The session has ended. The click in the application still counts after the sign-in that it begins.
  await page.context().clearCookies({ name: 'vestibule' });
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await page.waitForURL(`${WEB_APP}/cb?*`);
  report.keysAfterSignIn = requests.filter((url) => url.includes('access_token')).length;

  await page.goto(`${base}/vestibule/keys`);
  await shoot('keys');
  await page.getByRole('button', { name: `Revoke the authorization of ${WEB_APP}/cb` }).click();
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await heading(page, 'Authorize app.example.com?');
}

/** The page is of the same site, so the browser sends the session cookie, but of another origin. */
async function foreignOrigin(context, report) {
  const foreign = await listen('localhost', (_, response) => html(response, '<title>foreign</title><form method="post" target="into"></form><iframe name="into"></iframe>'));
  const page = await context.newPage();
  const responses = [];
  page.on('response', async (response) => {
    const request = response.request();
    if (!response.url().startsWith(base)) return;
    const { cookie = '' } = await request.allHeaders();
    responses.push({ method: request.method(), path: new URL(response.url()).pathname, status: response.status(), cookie: cookie.includes('vestibule=') });
  });
  await page.goto(`http://localhost:${foreign.port}/`);
  const keys = `${base}/vestibule/api/keys`;
  const consent = keyRequestUrl(`http://127.0.0.1:${foreign.port}/stolen`, 'z');
  const calls = [
    { url: keys, method: 'POST', body: '{}', type: 'text/plain' },
    { url: keys, method: 'POST', body: '{}', type: 'application/json' },
    { url: keys, method: 'POST' },
    { url: keys, method: 'GET' },
    { url: `${keys}/00000000-0000-7000-8000-000000000001`, method: 'DELETE' },
    { url: consent, method: 'GET' },
  ];
  report.read = [];
  for (const call of calls) {
    report.read.push(await page.evaluate(({ url, method, body, type }) => (
      fetch(url, { method, body, credentials: 'include', ...(type && { headers: { 'content-type': type } }) })
        .then((answer) => answer.text(), (error) => error.name)), call));
  }
  for (const [action, fields] of [
    [`${base}/sso/key/generate`, { response_type: 'oauth_token', decision: 'allow', csrf: 'AAAA' }],
    [`${base}/vestibule/keys`, { action: 'make', key_alias: 'stolen', duration: '1d', csrf: 'AAAA' }],
  ]) {
    const response = page.waitForResponse((response) => response.url().startsWith(base) && response.request().method() === 'POST');
    await page.evaluate(({ target, inputs }) => {
      const form = document.querySelector('form');
      form.action = target;
      form.replaceChildren(...Object.entries(inputs).map(([name, value]) => Object.assign(document.createElement('input'), { name, value })));
      form.submit();
    }, { target: action, inputs: fields });
    await response;
  }
  report.framed = await page.evaluate((url) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.onload = () => { try { resolve(frame.contentDocument === null ? 'closed' : 'empty'); } catch { resolve('closed'); } };
    frame.src = url;
    document.body.append(frame);
  }), consent);
  await page.screenshot({ path: `${artifacts}/foreign.png` });
  report.frames = await Promise.all(page.frames().map(async (frame) => (await frame.content().catch(() => '')).includes('Authorize')));
  report.foreign = responses;
  foreign.close();
  await page.close();
}

const link = keyRequestUrl(`${WEB_APP}/cb`, 'web');
// The product is on http here, to which browsers send no `Referer` from https by default.
const REFERRER = '<meta name="referrer" content="origin">';
const anchor = (href, attributes = '') => (
  `<title>app</title>${REFERRER}<a href="${href.replaceAll('&', '&amp;')}" ${attributes}>Connect</a>`);
const WEB_PAGES = {
  '/led': `<title>app</title><script>location.href = ${JSON.stringify(link)}</script>`,
  '/noreferrer': anchor(link, 'rel="noreferrer"'),
  '/through-login': anchor(`${base}/sso/login?${new URLSearchParams({ provider: 'corp', rd: link.slice(base.length) })}`),
};
const web = await listen('127.0.0.1', (request, response) => html(response, WEB_PAGES[request.url] ?? anchor(link)), certificate());
const names = `--host-resolver-rules=MAP app.example.com 127.0.0.1:${web.port}, MAP elsewhere.example 127.0.0.1:${web.port}`;
await run(artifacts, { args: [...FLAGS, names], ignoreHTTPSErrors: true }, async ({ context, page, report, shoot }) => {
  await loopback(page, report, shoot);
  await editor(context, report);
  await webApplication(page, report, shoot, web.requests);
  await foreignOrigin(context, report);
});
web.close();

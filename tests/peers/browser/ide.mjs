// A person lets applications have keys: programs that listen on loopback, an editor with a scheme of its own, a web
// application that is remembered. And other origins try to have one made.
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
const DONE = 'https://elsewhere.example/done';

/** A certificate that nobody trusts, and its key. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-ide-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1',
    '-subj', '/CN=app.example.com', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return tls;
}

const asking = (redirect, state) => {
  const query = new URLSearchParams({ response_type: 'oauth_token', state, ...(redirect && { redirect_uri: redirect }) });
  return `${base}/sso/key/generate?${query}`;
};
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();
const agree = (page) => page.getByRole('button', { name: 'Authorize' }).click();

async function signIn(page) {
  await page.locator('#username').fill(user);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A program's address is opened by the program, as if the person had typed it. */
async function loopback(page, seen, shoot) {
  const program = await listen('127.0.0.1', (_, response) => response.writeHead(302, { location: DONE }).end());
  const other = await listen('127.0.0.1', (_, response) => html(response, 'other'));
  await page.goto(asking(`http://127.0.0.1:${program.port}/callback?run=7`, 's t&1'));
  await signIn(page);
  await heading(page, `Authorize 127.0.0.1:${program.port}?`);
  await shoot('consent');
  expect(program.requests.length === 0, 'nothing to reach the program before the person agrees');
  await agree(page);
  await page.waitForURL(DONE);
  seen.loopback = program.requests;

  await page.goto(asking(`http://127.0.0.1:${other.port}/another`, 'x'));
  await heading(page, `Authorize 127.0.0.1:${other.port}?`);
  seen.anotherPath = [...other.requests];
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('other').waitFor();
  seen.refused = other.requests;

  const six = await listen('::1', (_, response) => html(response, 'got it'));
  await page.goto(asking(`http://[::1]:${six.port}/callback`, '6'));
  await agree(page);
  await page.getByText('got it').waitFor();
  seen.ipv6 = six.requests;
  [program, other, six].forEach((server) => server.close());
}

/** Nothing here opens the scheme; what the browser was told is read from the answer. */
async function editor(context, seen) {
  const page = await context.newPage();
  await page.goto(asking('vscode://publisher.ext/callback', 'editor'));
  await heading(page, 'Authorize vscode://publisher.ext?');
  const debuggerOf = await context.newCDPSession(page);
  await debuggerOf.send('Network.enable');
  const led = new Promise((resolve) => {
    debuggerOf.on('Network.responseReceivedExtraInfo', ({ statusCode, headers }) => {
      const name = Object.keys(headers).find((header) => header.toLowerCase() === 'location');
      if (name) resolve({ status: statusCode, location: headers[name] });
    });
  });
  await agree(page);
  seen.editor = await led;
  await page.close();
}

/** Asked once, and after that the person's click is enough. */
async function webApplication(page, seen, shoot, arrivals) {
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await heading(page, 'Authorize app.example.com?');
  await agree(page);
  await page.waitForURL(`${WEB_APP}/cb?*`);
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await page.waitForURL(`${WEB_APP}/cb?*`);
  seen.web = arrivals.filter((url) => url.includes('access_token'));

  // Without a click nobody is led through.
  await page.goto(`${WEB_APP}/led`);
  await heading(page, 'Authorize app.example.com?');
  seen.ledByScript = arrivals.filter((url) => url.includes('access_token')).length;

  await page.goto(`${base}/vestibule/keys`);
  await shoot('keys');
  await page.getByRole('button', { name: `Revoke the authorization of ${WEB_APP}/cb` }).click();
  await page.goto(`${WEB_APP}/`);
  await page.getByRole('link', { name: 'Connect' }).click();
  await heading(page, 'Authorize app.example.com?');
}

/** Of the same site, so that the browser sends the session's cookie along; of another origin all the same. */
async function foreignOrigin(context, seen) {
  const foreign = await listen('localhost', (_, response) => html(response, '<title>foreign</title><form method="post" target="into"></form><iframe name="into"></iframe>'));
  const page = await context.newPage();
  const answers = [];
  page.on('response', async (response) => {
    const request = response.request();
    if (!response.url().startsWith(base)) return;
    const { cookie = '' } = await request.allHeaders();
    answers.push({ method: request.method(), path: new URL(response.url()).pathname, status: response.status(), cookie: cookie.includes('vestibule=') });
  });
  await page.goto(`http://localhost:${foreign.port}/`);
  const keys = `${base}/vestibule/api/keys`;
  const consent = asking(`http://127.0.0.1:${foreign.port}/stolen`, 'z');
  const calls = [
    { url: keys, method: 'POST', body: '{}', type: 'text/plain' },
    { url: keys, method: 'POST', body: '{}', type: 'application/json' },
    { url: keys, method: 'POST' },
    { url: keys, method: 'GET' },
    { url: `${keys}/00000000-0000-7000-8000-000000000001`, method: 'DELETE' },
    { url: consent, method: 'GET' },
  ];
  seen.read = [];
  for (const call of calls) {
    seen.read.push(await page.evaluate(({ url, method, body, type }) => (
      fetch(url, { method, body, credentials: 'include', ...(type && { headers: { 'content-type': type } }) })
        .then((answer) => answer.text(), (error) => error.name)), call));
  }
  for (const [action, fields] of [
    [`${base}/sso/key/generate`, { response_type: 'oauth_token', decision: 'allow', csrf: 'AAAA' }],
    [`${base}/vestibule/keys`, { action: 'make', key_alias: 'stolen', duration: '1d', csrf: 'AAAA' }],
  ]) {
    const answered = page.waitForResponse((response) => response.url().startsWith(base) && response.request().method() === 'POST');
    await page.evaluate(({ to, inputs }) => {
      const form = document.querySelector('form');
      form.action = to;
      form.replaceChildren(...Object.entries(inputs).map(([name, value]) => Object.assign(document.createElement('input'), { name, value })));
      form.submit();
    }, { to: action, inputs: fields });
    await answered;
  }
  seen.framed = await page.evaluate((url) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.onload = () => { try { resolve(frame.contentDocument === null ? 'closed' : 'empty'); } catch { resolve('closed'); } };
    frame.src = url;
    document.body.append(frame);
  }), consent);
  await page.screenshot({ path: `${artifacts}/foreign.png` });
  seen.frames = await Promise.all(page.frames().map(async (frame) => (await frame.content().catch(() => '')).includes('Authorize')));
  seen.foreign = answers;
  foreign.close();
  await page.close();
}

const link = asking(`${WEB_APP}/cb`, 'web');
const web = await listen('127.0.0.1', (request, response) => html(response, request.url === '/led'
  ? `<title>app</title><script>location.href = ${JSON.stringify(link)}</script>`
  : `<title>app</title><a href="${link.replaceAll('&', '&amp;')}">Connect</a>`), certificate());
const names = `--host-resolver-rules=MAP app.example.com 127.0.0.1:${web.port}, MAP elsewhere.example 127.0.0.1:${web.port}`;
await run(artifacts, { args: [...FLAGS, names], ignoreHTTPSErrors: true }, async ({ context, page, seen, shoot }) => {
  await loopback(page, seen, shoot);
  await editor(context, seen);
  await webApplication(page, seen, shoot, web.requests);
  await foreignOrigin(context, seen);
});
web.close();

// A hostile script runs in a page of the upstream, on the origin of Vestibule's own pages. It tries to read pages and anti-CSRF
// tokens and to create credentials. Then the user creates a key on the page.
//
//   node hostile.mjs <base-url> <user> <password> <artifacts-dir>

import { expect, run } from './chromium.mjs';

const [base, user, password, artifacts] = process.argv.slice(2);
const GENERATE = '/sso/key/generate?response_type=oauth_token';
const PAGES = [
  '/vestibule/', '/vestibule/keys', '/vestibule/sessions', '/vestibule/sign-in', '/vestibule/people', '/vestibule/invitations',
  '/vestibule/role-map', '/sso/logout', GENERATE, '/sso/login', '/sso/login?provider=corp', '/onboarding?invite_link=x',
];
const ID = '00000000-0000-7000-8000-000000000001';
const GRANTS = [
  ['/vestibule/api/keys', {}],
  [`/vestibule/api/keys/${ID}/regenerate`, {}],
  ['/vestibule/api/invitations', { user_email: 'eve@example.com', user_role: 'proxy_admin' }],
  ['/vestibule/api/identities', { provider: 'corp' }],
  [`/vestibule/api/people/${ID}/enable`, {}],
  [`/vestibule/api/people/${ID}`, {}, 'DELETE'],
  ['/vestibule/api/sign-in', { user_email: 'eve@example.com', password: 'violin-otter-97-gravel' }],
  ['/onboarding/claim_token', { invitation_link: 'x', user_id: ID, password: 'violin-otter-97-gravel', key: true }],
  ['/vestibule/api/password', { current_password: 'x', new_password: 'violin-otter-97-gravel' }],
];
/** Every policy of a page of the upstream for the windows that it opens. */
const OPENERS = [
  [],
  ['cross-origin-opener-policy:same-origin-allow-popups'],
  ['cross-origin-opener-policy:same-origin'],
  ['cross-origin-opener-policy:same-origin', 'cross-origin-embedder-policy:require-corp'],
  ['cross-origin-opener-policy:noopener-allow-popups', 'cross-origin-embedder-policy:require-corp'],
];

const upstream = (headers = [], body = '<title>upstream</title>') => {
  const query = new URLSearchParams([...headers.map((header) => ['header', header]), ['body', body]]);
  return `${base}/custom?${query}`;
};

async function signIn(page) {
  await page.goto(`${base}/sso/login?provider=corp&rd=/vestibule/`);
  await page.locator('#username').fill(user);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
}

/** Requests each page in every way that returns its content to a script. */
const requestPages = (page) => page.evaluate(async (pages) => {
  const answers = [];
  const note = (way, path, status, text) => answers.push({ way, path, status, hasToken: text.includes('csrf') });
  for (const path of pages) {
    for (const mode of ['cors', 'same-origin']) {
      const answer = await fetch(path, { mode, credentials: 'include', headers: { accept: 'text/html' } });
      note(`fetch ${mode}`, path, answer.status, await answer.text());
    }
    const posted = await fetch(path, { method: 'POST', body: new URLSearchParams({ action: 'make', decision: 'allow' }) });
    note('fetch POST', path, posted.status, await posted.text());
    await new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.onload = () => resolve(note('XHR', path, request.status, request.responseText));
      request.open('GET', path);
      request.send();
    });
    const worker = new Worker(URL.createObjectURL(new Blob([
      'onmessage = async ({ data }) => { const a = await fetch(data); postMessage([a.status, await a.text()]); };',
    ])));
    const [status, text] = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(new URL(path, location.href).href);
    });
    worker.terminate();
    note('worker', path, status, text);
  }
  return answers;
}, PAGES);

/** Embeds each page. The content of an embedded page of the same origin would be readable. */
const embedPages = (page) => page.evaluate(async (pages) => {
  const readable = [];
  for (const path of pages) {
    for (const [tag, attribute] of [['iframe', 'src'], ['object', 'data'], ['embed', 'src']]) {
      const element = document.createElement(tag);
      element[attribute] = path;
      if (tag !== 'iframe') element.type = 'text/html';
      const loaded = new Promise((resolve) => { element.onload = resolve; element.onerror = resolve; });
      document.body.append(element);
      await Promise.race([loaded, new Promise((resolve) => { setTimeout(resolve, 2000); })]);
      let text = '';
      try {
        text = (element.contentDocument ?? element.getSVGDocument?.())?.documentElement?.outerHTML ?? '';
      } catch { /* It is of another origin. */ }
      if (/csrf|Your|Sign out/.test(text)) readable.push(`${tag} ${path}`);
      element.remove();
    }
  }
  return readable;
}, PAGES);

const callApi = (page) => page.evaluate(async (calls) => {
  const answers = [];
  for (const [path, body, method = 'POST'] of calls) {
    const answer = await fetch(path, {
      method, credentials: 'include', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    answers.push({ path, status: answer.status, error: (await answer.json()).error });
  }
  return answers;
}, GRANTS);

/** Opens pages in windows, and tries to read them from the page that opened them. */
async function openWindows(page) {
  const readable = [];
  for (const headers of OPENERS) {
    for (const path of ['/vestibule/keys', GENERATE]) {
      await page.goto(upstream(headers));
      const opened = page.context().waitForEvent('page');
      const found = page.evaluate(async (target) => {
        const opener = window.open(target, 'victim');
        for (let round = 0; round < 30; round += 1) {
          await new Promise((resolve) => { setTimeout(resolve, 50); });
          try {
            if (opener.document.querySelector('input[name=csrf]')) return true;
          } catch { /* The reference was cut. */ }
        }
        return false;
      }, path);
      const popup = await opened;
      await popup.locator('input[name=csrf]').first().waitFor({ state: 'attached' });
      if (await found) readable.push(`${headers} ${path}`);
      await popup.close();
    }
  }
  return readable;
}

/** Submits forms as a navigation, without the token that it cannot know. */
async function submitForms(page) {
  const statuses = [];
  for (const [action, fields] of [
    ['/vestibule/keys', { action: 'make', key_alias: 'stolen', duration: '1d' }],
    ['/vestibule/invitations', { action: 'make', user_email: 'eve@example.com', user_role: 'proxy_admin', duration: '7d' }],
    ['/sso/key/generate', { response_type: 'oauth_token', decision: 'allow' }],
  ]) {
    await page.goto(upstream());
    const answered = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.evaluate(([to, values]) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', action: to });
      for (const [name, value] of Object.entries({ ...values, csrf: 'AAAA' })) {
        form.append(Object.assign(document.createElement('input'), { name, value }));
      }
      document.body.append(form);
      form.submit();
    }, [action, fields]);
    statuses.push((await answered).status());
    await page.waitForURL((url) => url.pathname === action);
  }
  return statuses;
}

/** A service worker would see the responses to later navigations. */
async function registerWorkers(page) {
  const script = upstream(['content-type:text/javascript', 'service-worker-allowed:/'], 'onfetch = () => {};');
  await page.goto(upstream());
  return page.evaluate(async (url) => {
    const outcomes = [];
    for (const type of ['classic', 'module']) {
      outcomes.push(await navigator.serviceWorker.register(url, { scope: '/', type }).then(() => 'registered', (error) => error.name));
    }
    outcomes.push((await navigator.serviceWorker.getRegistrations()).length, (await fetch(url)).status);
    return outcomes;
  }, script);
}

/** The user creates a key. The same form is not accepted a second time; the page itself works again. */
async function createKey(page) {
  const outcomes = [];
  for (const name of ['Laptop', 'Desktop']) {
    await page.goto(`${base}/vestibule/keys`);
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('is shown only once').waitFor();
    outcomes.push(await page.locator('.copyable code').textContent());
    // Sends the form again.
    await page.reload();
    outcomes.push(await page.getByRole('heading', { level: 1 }).textContent());
    await page.getByRole('link', { name: 'Keys' }).last().click();
    await page.getByRole('heading', { name: 'Your keys' }).waitFor();
  }
  await page.goBack();
  await page.goto(`${base}/vestibule/keys`);
  await page.goto(`${base}/vestibule/sessions`);
  await page.goBack();
  await page.getByLabel('Name', { exact: true }).fill('Third');
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByText('is shown only once').waitFor();
  return outcomes;
}

await run(artifacts, {}, async ({ page, report, shoot }) => {
  await signIn(page);
  await page.goto(upstream());
  const own = await page.evaluate(async () => (await fetch('/vestibule/api/keys')).json());
  expect(Array.isArray(own.keys), `the script to act with the user's session: ${JSON.stringify(own)}`);
  report.pages = await requestPages(page);
  report.embedded = await embedPages(page);
  report.api = await callApi(page);
  report.opened = await openWindows(page);
  report.forms = await submitForms(page);
  report.workers = await registerWorkers(page);
  report.keysBefore = (await page.evaluate(async () => (await fetch('/vestibule/api/keys')).json())).keys.length;
  report.created = await createKey(page);
  await shoot('created');
});

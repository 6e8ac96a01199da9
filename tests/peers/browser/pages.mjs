// Takes a screenshot of each page in light and in dark, on a desktop and on a small phone, and lists the violations that
// axe-core finds.
//
//   node pages.mjs <base-url> <base-url-without-providers> <provider> <user> <password> <artifacts-dir>

import { DESKTOP, expect, run } from './chromium.mjs';
import { SCHEMES, overflow, violations } from './inspect.mjs';

const [base, unconfigured, provider, user, password, artifacts] = process.argv.slice(2);
const WIDTHS = [DESKTOP.width, 360];

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
const openProvider = (page) => page.goto(`${base}/sso/login?provider=${provider}&rd=/vestibule/`);

/** The way to each page. The last ones continue from the previous page. */
const PAGES = [
  ['choice', 'Sign in', (page) => page.goto(`${base}/sso/login`)],
  ['not-configured', 'No identity provider configured', (page) => page.goto(`${unconfigured}/sso/login`)],
  ['error', 'Invalid sign-in link', (page) => page.goto(`${base}/sso/login?rd=https://evil.example/`)],
  ['denied', 'Access denied', async (page) => {
    await openProvider(page);
    await page.locator('button[value="cancel"]').click();
  }],
  ['home', 'Your account', async (page) => {
    await openProvider(page);
    await page.locator('#username').fill(user);
    await page.locator('#password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }],
  ['app-key', 'Authorize vscode://publisher.ext?', (page) => page.goto(
    `${base}/sso/key/generate?response_type=oauth_token&redirect_uri=vscode%3A%2F%2Fpublisher.ext%2Fcallback`)],
  ['keys', 'Your keys', async (page) => {
    await page.goto(`${base}/vestibule/keys`);
    await page.getByLabel('Name').fill('A laptop with a name that is rather long');
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('The key is shown only once.').waitFor();
  }],
  ['sign-out', 'Sign out?', (page) => page.goto(`${base}/sso/logout`)],
  ['signed-out', 'You are signed out', (page) => page.getByRole('button', { name: 'Sign out' }).click()],
];

await run(artifacts, {}, async ({ page, report, shoot }) => {
  report.views = [];
  for (const [name, title, open] of PAGES) {
    await open(page);
    await heading(page, title);
    expect(await page.locator('html[lang]').count(), `${name} to have a language`);
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        await page.setViewportSize({ width, height: DESKTOP.height });
        // A color in a transition has its own contrast.
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
        const shot = `${name}-${scheme}-${width}`;
        await shoot(shot);
        report.views.push({ name, scheme, width, shot, overflow: await overflow(page), violations: await violations(page) });
      }
    }
  }
});

// A person signs in through the gateway, sees the upstream, signs out, and is asked to sign in again.
//
//   node signin.mjs <base-url> <user> <password> <artifacts-dir> [light|dark]

import { expect, run } from './chromium.mjs';

const [base, user, password, artifacts, scheme = 'light'] = process.argv.slice(2);
const deep = `${base}/ui/page?tab=keys&sort=a%2Fb`;

const atIdp = (page) => page.locator('#username').waitFor();
const atUpstream = (page) => page.getByRole('heading', { name: 'You reached the upstream' }).waitFor();

async function signIn(page) {
  await page.locator('#username').fill(user);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** The sign-in page stands between only where there is a choice of providers. */
async function reachIdp(page, url) {
  await page.goto(url);
  const choice = page.locator('a[href*="/sso/login"]').first();
  await page.locator('#username').or(choice).first().waitFor();
  if (await choice.isVisible()) await choice.click();
  await atIdp(page);
}

/** A confirmation page, ours or the provider's: the first button of its form, and where it leads. */
async function confirm(page) {
  const button = page.locator('button[type="submit"], form button, button[form], input[type="submit"]').first();
  await Promise.all([page.waitForEvent('framenavigated'), button.click()]);
  await page.waitForLoadState();
}

async function identity(page) {
  const entries = await page.locator('dl div').evaluateAll((rows) => rows.map((row) => [
    row.querySelector('dt').textContent,
    row.querySelector('dd').classList.contains('empty') ? '' : row.querySelector('dd').textContent,
  ]));
  return Object.fromEntries(entries);
}

await run(artifacts, { colorScheme: scheme }, async ({ context, page, seen, shoot }) => {
  await reachIdp(page, deep);
  seen.idp = page.url();
  await shoot('idp');
  await signIn(page);

  await atUpstream(page);
  seen.upstream = page.url();
  seen.identity = await identity(page);
  seen.cookies = (await context.cookies(base)).map(({ name, httpOnly, secure, sameSite, value }) => (
    { name, httpOnly, secure, sameSite, length: value.length }));
  await shoot('upstream');
  expect(seen.upstream === deep, `to come back to ${deep}, not ${seen.upstream}`);
  expect(seen.identity['x-auth-request-user'], 'a user at the upstream');

  await page.goto(`${base}/sso/logout`);
  await shoot('logout');
  await confirm(page);
  // The provider asks too, unless it was told who is leaving.
  seen.askedByIdp = new URL(page.url()).origin !== base;
  if (seen.askedByIdp) {
    await shoot('idp-logout');
    await confirm(page);
  }
  await page.waitForURL((url) => url.origin === base);
  seen.signedOut = { url: page.url(), title: await page.title(), text: (await page.locator('body').innerText()).trim() };
  await shoot('signed-out');

  await reachIdp(page, `${base}/`);
  seen.askedAgain = page.url();
  await shoot('asked-again');
});

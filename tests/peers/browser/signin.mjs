// A user signs in through the gateway, opens the upstream, signs out, and has to sign in again.
//
//   node signin.mjs <base-url> <user> <password> <artifacts-dir> [light|dark]

import { expect, run } from './chromium.mjs';

const [base, user, password, artifacts, scheme = 'light'] = process.argv.slice(2);
const target = `${base}/ui/page?tab=keys&sort=a%2Fb`;

const waitForIdp = (page) => page.locator('#username').waitFor();
const waitForUpstream = (page) => page.getByRole('heading', { name: 'You reached the upstream' }).waitFor();

async function signIn(page) {
  await page.locator('#username').fill(user);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** The sign-in page appears only with several sign-in methods. */
async function openIdp(page, url) {
  await page.goto(url);
  const choice = page.locator('a[href*="/sso/login"]').first();
  await page.locator('#username').or(choice).first().waitFor();
  if (await choice.isVisible()) await choice.click();
  await waitForIdp(page);
}

/** Presses the first button of a confirmation page of Vestibule or of the provider. */
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

await run(artifacts, { colorScheme: scheme }, async ({ context, page, report, shoot }) => {
  await openIdp(page, target);
  report.idp = page.url();
  await shoot('idp');
  await signIn(page);

  await waitForUpstream(page);
  report.upstream = page.url();
  report.identity = await identity(page);
  report.cookies = (await context.cookies(base)).map(({ name, httpOnly, secure, sameSite, value }) => (
    { name, httpOnly, secure, sameSite, length: value.length }));
  await shoot('upstream');
  expect(report.upstream === target, `to return to ${target}, not ${report.upstream}`);
  expect(report.identity['x-auth-request-user'], 'a user at the upstream');

  await page.goto(`${base}/sso/logout`);
  await shoot('logout');
  await confirm(page);
  // The provider asks for confirmation unless it receives the user's id_token.
  report.isConfirmedAtIdp = new URL(page.url()).origin !== base;
  if (report.isConfirmedAtIdp) {
    await shoot('idp-logout');
    await confirm(page);
  }
  await page.waitForURL((url) => url.origin === base);
  report.signedOut = { url: page.url(), title: await page.title(), text: (await page.locator('body').innerText()).trim() };
  await shoot('signed-out');

  await openIdp(page, `${base}/`);
  report.secondSignIn = page.url();
  await shoot('second-sign-in');
});

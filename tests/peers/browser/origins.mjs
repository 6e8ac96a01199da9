// A user signs in once, opens three hosts, signs out on one of them, and is signed out on all.
//
//   node origins.mjs <base-url> <further-url> <further-url> <user> <password> <artifacts-dir> idp|password

import { expect, run } from './chromium.mjs';

const [base, chat, mcp, user, password, artifacts, method] = process.argv.slice(2);

const upstream = (page) => page.getByRole('heading', { name: 'You reached the upstream' });
const field = (page) => page.locator(method === 'idp' ? '#username' : 'input[name="user_email"]');

async function signIn(page) {
  await field(page).fill(user);
  await page.locator('input[type="password"]').first().fill(password);
  await page.locator('form').filter({ has: field(page) }).getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function confirm(page) {
  const button = page.locator('button[type="submit"], form button, button[form], input[type="submit"]').first();
  await Promise.all([page.waitForEvent('framenavigated'), button.click()]);
  await page.waitForLoadState();
}

/** Opens the address, and returns whether the user had to sign in. */
async function open(page, url) {
  await page.goto(url);
  await upstream(page).or(field(page)).first().waitFor();
  const asked = await field(page).isVisible();
  if (asked) await signIn(page);
  await upstream(page).waitFor();
  expect(page.url() === url, `to return to ${url}, not ${page.url()}`);
  return asked;
}

await run(artifacts, {}, async ({ context, page, report, shoot }) => {
  report.asked = [];
  for (const url of [`${chat}/ui/page?tab=keys&sort=a%2Fb`, `${mcp}/ui/`, `${base}/ui/`, `${chat}/ui/`]) {
    report.asked.push(await open(page, url));
  }
  await shoot('upstream');
  const cookies = await context.cookies([base, chat, mcp]);
  report.sessions = cookies.filter(({ name }) => name === 'vestibule').map(({ domain, value }) => ({ domain, value }));
  report.scriptCookies = await page.evaluate(() => document.cookie);
  // A script of one host gets no session of another one, and no code.
  report.fetched = await page.evaluate(async (address) => {
    try {
      const answer = await fetch(address, { credentials: 'include' });
      return answer.status;
    } catch (error) {
      return error.name;
    }
  }, `${mcp}/sso/login?rd=/`);

  await page.goto(`${mcp}/sso/logout`);
  await shoot('logout');
  await confirm(page);
  // The provider asks for confirmation too.
  if (method === 'idp') await confirm(page);
  await page.getByText('You are signed out').first().waitFor();
  report.after = [];
  for (const url of [`${chat}/ui/`, `${base}/ui/`, `${mcp}/ui/`]) {
    await page.goto(url);
    await upstream(page).or(field(page)).or(page.locator('form')).first().waitFor();
    report.after.push(await upstream(page).isVisible());
  }
});

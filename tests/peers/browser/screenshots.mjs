// Takes README's screenshots of a site with several users and keys, in light and in dark.
//
//   node screenshots.mjs <base-url> <check-url> <provider's-name> <users.json> <directory>
//
// `users.json` lists the provider's users, an administrator first: `[{"user": …, "password": …}, …]`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { fillPasswords } from './accounts/first_administrator.mjs';
import { runScenario, bearer } from './accounts/site.mjs';
import { run } from './chromium.mjs';
import { SCHEMES } from './inspect.mjs';

const [base, check, provider, file, directory] = process.argv.slice(2);
const users = JSON.parse(readFileSync(file, 'utf8'));
const WIDTH = 1280;
const MARGIN = 24;

const INVITEES = [
  { email: 'ines@contractor.example', role: 'internal_user', teams: 'research' },
  { email: 'auditor@example.com', role: 'proxy_admin_viewer', teams: '' },
];

/** Takes a screenshot of the page's content, or of a part of it, in the width of the window. */
async function shoot({ page }, name, parts = '.brand, main, nav') {
  await page.setViewportSize({ width: WIDTH, height: 800 });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.mouse.move(1, 1);
  const [top, bottom] = await page.evaluate((selector) => {
    const boxes = [...document.querySelectorAll(selector)].map((part) => part.getBoundingClientRect());
    return [Math.min(...boxes.map((box) => box.top)), Math.max(...boxes.map((box) => box.bottom))];
  }, parts);
  const y = Math.max(0, Math.floor(top) - MARGIN);
  const clip = { x: 0, y, width: WIDTH, height: Math.ceil(bottom) + MARGIN - y };
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: join(directory, `${name}-${colorScheme}.png`), clip, fullPage: true });
  }
}

async function signInWithProvider(site, { user, password }) {
  const visitor = await site.newVisitor();
  await visitor.open('/vestibule/');
  await visitor.follow(`Continue with ${provider}`);
  await visitor.page.locator('#username').fill(user);
  await visitor.page.locator('#password').fill(password);
  await visitor.page.getByRole('button', { name: 'Sign in' }).click();
  await visitor.heading('Your account');
  return visitor;
}

async function inviteAndAccept(administrator, { email, role, teams }) {
  await administrator.go('Invitations');
  await administrator.fill('Email', email);
  await administrator.choose('Role', role);
  await administrator.fill('Teams', teams);
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  const visitor = await administrator.site.newVisitor();
  await visitor.open(link);
  await fillPasswords(visitor, 'eleven maps of the same river', 'eleven maps of the same river');
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
}

async function createKey(visitor, name, duration, restrict) {
  await visitor.go('Keys', 'Your keys');
  const form = visitor.page.locator('form.panel');
  await visitor.fill('Name', name, form);
  await visitor.choose('Expires in', duration, form);
  if (restrict) {
    await visitor.unfold('Restrict', form);
    await restrict(form);
  }
  await visitor.submit('Create key');
  const secret = await visitor.page.locator('.copyable code').textContent();
  await visitor.site.authRequest('/v1/models', bearer(secret));
}

async function createKeys(visitor) {
  await createKey(visitor, 'Laptop', '90 days');
  await createKey(visitor, 'VS Code', '30 days');
  await createKey(visitor, 'Nightly evaluation', '7 days', async (form) => {
    await visitor.choose('Highest role', 'internal_user_viewer', form);
    await visitor.tick('research', form);
    await visitor.fill('Only these paths', '/v1/chat/**\n/v1/models', form);
  });
  await createKey(visitor, 'Batch jobs', '365 days', (form) => visitor.tick('Can manage keys', form));
  await visitor.go('Keys', 'Your keys');
}

await runScenario('mouse', { base, check, artifacts: directory }, run, async (site) => {
  const administrator = await signInWithProvider(site, users[0]);
  for (const user of users.slice(1)) await signInWithProvider(site, user);
  for (const invitee of INVITEES) await inviteAndAccept(administrator, invitee);
  await administrator.go('Users');
  await administrator.follow(users.at(-1).user);
  await administrator.unfold('Disable');
  await administrator.submit(/^Disable /);
  await administrator.go('Users');
  await shoot(administrator, 'users');

  const user = await signInWithProvider(site, users[1]);
  await createKeys(user);
  await shoot(user, 'keys');

  await administrator.go('Role map');
  await administrator.fill('User (ID or email)', `${users[1].user}@example.com`);
  await administrator.submit('Explain');
  await administrator.sees(`Result for ${users[1].user}`);
  await shoot(administrator, 'role-map', '[aria-labelledby="explain"]');
});

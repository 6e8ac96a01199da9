// The pictures that README shows, of a site with some people and keys: each page in light and in dark.
//
//   node screenshots.mjs <base-url> <check-url> <provider's-name> <people.json> <directory>
//
// `people.json` has who signs in at the provider: `[{"user": …, "password": …}, …]`, an administrator first.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type } from './accounts/first.mjs';
import { begin, bearer } from './accounts/site.mjs';
import { run } from './chromium.mjs';
import { SCHEMES } from './inspect.mjs';

const [base, check, provider, file, directory] = process.argv.slice(2);
const people = JSON.parse(readFileSync(file, 'utf8'));
const WIDTH = 1280;
const MARGIN = 24;

const INVITED = [
  { email: 'ines@contractor.example', role: 'internal_user', teams: 'research' },
  { email: 'auditor@example.com', role: 'proxy_admin_viewer', teams: '' },
];

/** What stands on the page, or a part of it, as wide as a window. */
async function shoot({ page }, name, parts = '.brand, main, nav') {
  await page.setViewportSize({ width: WIDTH, height: 800 });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.mouse.move(1, 1);
  const [top, bottom] = await page.evaluate((shown) => {
    const boxes = [...document.querySelectorAll(shown)].map((part) => part.getBoundingClientRect());
    return [Math.min(...boxes.map((box) => box.top)), Math.max(...boxes.map((box) => box.bottom))];
  }, parts);
  const y = Math.max(0, Math.floor(top) - MARGIN);
  const clip = { x: 0, y, width: WIDTH, height: Math.ceil(bottom) + MARGIN - y };
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: join(directory, `${name}-${colorScheme}.png`), clip, fullPage: true });
  }
}

async function byProvider(site, { user, password }) {
  const visitor = await site.somebody();
  await visitor.open('/vestibule/');
  await visitor.follow(`Continue with ${provider}`);
  await visitor.page.locator('#username').fill(user);
  await visitor.page.locator('#password').fill(password);
  await visitor.page.getByRole('button', { name: 'Sign in' }).click();
  await visitor.heading('Your account');
  return visitor;
}

async function invited(administrator, { email, role, teams }) {
  await administrator.go('Invitations');
  await administrator.fill('Email', email);
  await administrator.choose('Role', role);
  await administrator.fill('Teams', teams);
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  const visitor = await administrator.site.somebody();
  await visitor.open(link);
  await type(visitor, 'eleven maps of the same river', 'eleven maps of the same river');
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
}

async function key(visitor, name, lasts, narrow) {
  await visitor.go('Keys', 'Your keys');
  const form = visitor.page.locator('form.panel');
  await visitor.fill('Name', name, form);
  await visitor.choose('Expires in', lasts, form);
  if (narrow) {
    await visitor.unfold('Restrict', form);
    await narrow(form);
  }
  await visitor.submit('Create key');
  const secret = await visitor.page.locator('.copyable code').textContent();
  await visitor.site.checkOf('/v1/models', bearer(secret));
}

async function keys(visitor) {
  await key(visitor, 'Laptop', '90 days');
  await key(visitor, 'VS Code', '30 days');
  await key(visitor, 'Nightly evaluation', '7 days', async (form) => {
    await visitor.choose('Highest role', 'internal_user_viewer', form);
    await visitor.tick('research', form);
    await visitor.fill('Only these paths', '/v1/chat/**\n/v1/models', form);
  });
  await key(visitor, 'Batch jobs', '365 days', (form) => visitor.tick('Can manage keys', form));
  await visitor.go('Keys', 'Your keys');
}

await begin('mouse', { base, check, artifacts: directory }, run, async (site) => {
  const administrator = await byProvider(site, people[0]);
  for (const person of people.slice(1)) await byProvider(site, person);
  for (const person of INVITED) await invited(administrator, person);
  await administrator.go('Users');
  await administrator.follow(people.at(-1).user);
  await administrator.unfold('Disable');
  await administrator.submit(/^Disable /);
  await administrator.go('Users');
  await shoot(administrator, 'people');

  const person = await byProvider(site, people[1]);
  await keys(person);
  await shoot(person, 'keys');

  await administrator.go('Role map');
  await administrator.fill('User (ID or email)', `${people[1].user}@example.com`);
  await administrator.submit('Explain');
  await administrator.sees(`Result for ${people[1].user}`);
  await shoot(administrator, 'role-map', '[aria-labelledby="explain"]');
});

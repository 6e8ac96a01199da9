// One's own keys: made, copied, tried at the check, narrowed and revoked.

import { expect } from '../chromium.mjs';
import { bearer } from './site.mjs';

const UNNAMED = 'Enter a name of 1 to 128 characters';

export async function keys(visitor) {
  const { checkOf, hasScripts } = visitor.site;
  await visitor.go('Keys', 'Your keys');
  await visitor.sees('You have no keys.');
  await visitor.inspect('keys-none');
  await mistakes(visitor);

  await visitor.fill('Name', 'Laptop');
  await visitor.choose('Expires in', '7 days');
  await visitor.submit('Create key');
  const key = await shownOnce(visitor, 'keys-made');
  expect(/^sk-[\w-]{20,}$/.test(key), 'a key to be shown');
  if (hasScripts) expect(await copied(visitor) === key, 'the button to copy the key');
  const told = await checkOf('/v1/models', bearer(key));
  expect(told.status === 200 && told.role === 'proxy_admin', `the key to be good at once: ${JSON.stringify(told)}`);

  await visitor.go('Keys', 'Your keys');
  expect(!(await visitor.page.content()).includes(key), 'the key to be shown once');
  await narrowed(visitor, key);

  await visitor.unfold('Edit Laptop');
  await visitor.submit('Revoke Laptop');
  await visitor.sees('You have no keys.');
  expect((await checkOf('/v1/models', bearer(key))).status === 401, 'a revoked key to be refused at once');
  await forPeople(visitor);
}

/** An administrator's key that manages people: by JSON it does, and the list tells it from others. */
async function forPeople(visitor) {
  await visitor.fill('Name', 'Onboarding');
  await visitor.unfold('Restrict');
  await visitor.tick('Can manage users');
  await visitor.fill('Only these paths', '/v1/**');
  await visitor.submit('Create key');
  await visitor.sees('A key that manages users can\'t be restricted to teams or paths.');
  await visitor.inspect('keys-not-for-people');
  await visitor.fill('Only these paths', '');
  await visitor.submit('Create key');
  const key = await visitor.page.locator('.copyable code').textContent();
  const people = await fetch(new URL('/vestibule/api/people', visitor.site.base), { headers: bearer(key) });
  expect(people.status === 200, `the key to list people: ${people.status}`);
  await visitor.go('Keys', 'Your keys');
  await visitor.row('Onboarding').getByText('Manages users').waitFor();
  await visitor.inspect('keys-for-people');
  await visitor.unfold('Edit Onboarding');
  await visitor.submit('Revoke Onboarding');
  await visitor.sees('You have no keys.');
}

async function mistakes(visitor) {
  await visitor.press('Create key');
  expect(await visitor.invalid('Name') === 'valueMissing', 'the browser to ask for a name');
  await visitor.fill('Name', '   ');
  await visitor.submit('Create key');
  await visitor.sees(UNNAMED);
  await visitor.inspect('keys-unnamed');
  await visitor.fill('Name', 'Laptop');
  await visitor.unfold('Restrict');
  await visitor.fill('Only these paths', 'v1/**');
  await visitor.submit('Create key');
  await visitor.sees('One of the paths is not a valid pattern.');
  expect(await visitor.field('Name').inputValue() === 'Laptop', 'what was typed to be kept');
  await visitor.inspect('keys-no-pattern');
  await visitor.go('Keys', 'Your keys');
}

async function narrowed(visitor, key) {
  const { checkOf } = visitor.site;
  const row = visitor.row('Laptop');
  await visitor.unfold('Edit Laptop');
  await visitor.inspect('keys-edit');
  await visitor.choose('Highest role', 'internal_user', row);
  await visitor.fill('Only these paths', '/v1/**', row);
  await visitor.submit('Restrict Laptop');
  await visitor.sees('Highest role: internal_user');
  await visitor.inspect('keys-narrowed');
  const [inside, outside] = await Promise.all(['/v1/models', '/ui/'].map((path) => checkOf(path, bearer(key))));
  expect(inside.status === 200 && inside.role === 'internal_user', `less at once: ${JSON.stringify(inside)}`);
  expect(outside.status === 403, `no other path: ${JSON.stringify(outside)}`);
}

/** The one time that a secret is shown. */
export async function shownOnce(visitor, name) {
  await visitor.sees('is shown only once');
  await visitor.inspect(name);
  const button = visitor.page.getByRole('button', { name: 'Copy', exact: true });
  expect(await button.count() === (visitor.site.hasScripts ? 1 : 0), 'a copy button only where it can copy');
  return visitor.page.locator('.copyable code').textContent();
}

/** What the copy button puts into the clipboard, and what it says then. */
export async function copied(visitor) {
  await visitor.press('Copy');
  await visitor.page.getByRole('button', { name: 'Copied', exact: true }).waitFor();
  expect(await visitor.page.locator('.copyable [role="status"]').textContent() === 'Copied', 'readers to be told');
  return visitor.page.evaluate(() => navigator.clipboard.readText());
}

// A user creates, copies, uses, restricts and revokes keys.

import { expect } from '../chromium.mjs';
import { bearer } from './site.mjs';

const UNNAMED = 'Enter a name of 1 to 128 characters';

export async function keys(visitor) {
  const { authRequest, hasScripts } = visitor.site;
  await visitor.go('Keys', 'Your keys');
  await visitor.sees('You have no keys.');
  await visitor.inspect('keys-none');
  await submitInvalidForms(visitor);

  await visitor.fill('Name', 'Laptop');
  await visitor.choose('Expires in', '7 days');
  await visitor.submit('Create key');
  const key = await readSecret(visitor, 'keys-created');
  expect(/^sk-[\w-]{20,}$/.test(key), 'the key to be shown');
  if (hasScripts) expect(await readCopiedText(visitor) === key, 'the button to copy the key');
  const response = await authRequest('/v1/models', bearer(key));
  expect(response.status === 200 && response.role === 'proxy_admin', `the key to be valid at once: ${JSON.stringify(response)}`);

  await visitor.go('Keys', 'Your keys');
  expect(!(await visitor.page.content()).includes(key), 'the key to be shown once');
  await restrictKey(visitor, key);

  await visitor.unfold('Edit Laptop');
  await visitor.submit('Revoke Laptop');
  await visitor.sees('You have no keys.');
  expect((await authRequest('/v1/models', bearer(key))).status === 401, 'a revoked key to be refused at once');
  await createUserManagementKey(visitor);
}

/** A key that manages users lists them with the JSON API, and the list of keys marks it. */
async function createUserManagementKey(visitor) {
  await visitor.fill('Name', 'Onboarding');
  await visitor.unfold('Restrict');
  await visitor.tick('Can manage users');
  await visitor.fill('Only these paths', '/v1/**');
  await visitor.submit('Create key');
  await visitor.sees('A key that manages users can\'t be restricted to teams or paths.');
  await visitor.inspect('keys-manage-users-restricted');
  await visitor.fill('Only these paths', '');
  await visitor.submit('Create key');
  const key = await visitor.page.locator('.copyable code').textContent();
  const users = await fetch(new URL('/vestibule/api/people', visitor.site.base), { headers: bearer(key) });
  expect(users.status === 200, `the key to list users: ${users.status}`);
  await visitor.go('Keys', 'Your keys');
  await visitor.row('Onboarding').getByText('Manages users').waitFor();
  await visitor.inspect('keys-manage-users');
  await visitor.unfold('Edit Onboarding');
  await visitor.submit('Revoke Onboarding');
  await visitor.sees('You have no keys.');
}

async function submitInvalidForms(visitor) {
  await visitor.press('Create key');
  expect(await visitor.validityError('Name') === 'valueMissing', 'the browser to ask for a name');
  await visitor.fill('Name', '   ');
  await visitor.submit('Create key');
  await visitor.sees(UNNAMED);
  await visitor.inspect('keys-unnamed');
  await visitor.fill('Name', 'Laptop');
  await visitor.unfold('Restrict');
  await visitor.fill('Only these paths', 'v1/**');
  await visitor.submit('Create key');
  await visitor.sees('One of the paths is not a valid pattern.');
  expect(await visitor.field('Name').inputValue() === 'Laptop', 'the name to be kept');
  await visitor.inspect('keys-no-pattern');
  await visitor.go('Keys', 'Your keys');
}

async function restrictKey(visitor, key) {
  const { authRequest } = visitor.site;
  const row = visitor.row('Laptop');
  await visitor.unfold('Edit Laptop');
  await visitor.inspect('keys-edit');
  await visitor.choose('Highest role', 'internal_user', row);
  await visitor.fill('Only these paths', '/v1/**', row);
  await visitor.submit('Restrict Laptop');
  await visitor.sees('Highest role: internal_user');
  await visitor.inspect('keys-restricted');
  const [inside, outside] = await Promise.all(['/v1/models', '/ui/'].map((path) => authRequest(path, bearer(key))));
  expect(inside.status === 200 && inside.role === 'internal_user', `the restricted role at once: ${JSON.stringify(inside)}`);
  expect(outside.status === 403, `no access to another path: ${JSON.stringify(outside)}`);
}

/** Reads a secret from the page that shows it once. */
export async function readSecret(visitor, name) {
  await visitor.sees('is shown only once');
  await visitor.inspect(name);
  const button = visitor.page.getByRole('button', { name: 'Copy', exact: true });
  expect(await button.count() === (visitor.site.hasScripts ? 1 : 0), 'a copy button only with scripts');
  return visitor.page.locator('.copyable code').textContent();
}

/** Presses the copy button and reads the clipboard. */
export async function readCopiedText(visitor) {
  await visitor.press('Copy');
  await visitor.page.getByRole('button', { name: 'Copied', exact: true }).waitFor();
  expect(await visitor.page.locator('.copyable [role="status"]').textContent() === 'Copied', 'a status for screen readers');
  return visitor.page.evaluate(() => navigator.clipboard.readText());
}

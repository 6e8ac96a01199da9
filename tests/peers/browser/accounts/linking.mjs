// One person, two ways to sign in: linked after both are proven, refused where the identity is somebody else's.

import { expect } from '../chromium.mjs';
import { type } from './first.mjs';
import { signIn, signOut } from './invitation.mjs';

const DORA = { email: 'dora@example.com', password: 'nine lamps above the canal' };
const ERIN = { email: 'erin@example.com', password: 'some violins prefer the rain' };

export async function linking(site, provider) {
  const administrator = await site.somebody();
  await bySignInPage(administrator, provider);
  const dora = await joins(administrator, DORA);
  const { user_id: id } = await dora.session();

  await cancelled(dora, provider);
  await linked(dora, provider);
  expect((await dora.session()).user_id === id, 'the same person as before');
  await byProvider(dora, provider, id);

  const erin = await joins(administrator, ERIN);
  await taken(erin, provider);
  await signedOutMeanwhile(erin, provider);

  await unlinked(dora, provider, id);
}

/** Where there are both, the sign-in page offers both. */
async function bySignInPage(administrator, provider) {
  await administrator.open('/vestibule/');
  await administrator.heading('Sign in');
  await administrator.inspect('sign-in-both');
  await administrator.follow(`Continue with ${provider.name}`);
  await atProvider(administrator, provider.administrator);
  await administrator.heading('Your account');
}

/** The provider's pages are somebody else's: they are worked in the shortest way. */
async function atProvider(visitor, { user, password }) {
  await visitor.page.locator('#username').fill(user);
  await visitor.page.locator('#password').fill(password);
  await visitor.page.getByRole('button', { name: 'Sign in' }).click();
}

/** Somebody who was invited, in a browser of their own. */
async function joins(administrator, account) {
  await administrator.go('Invitations');
  await administrator.fill('Email', account.email);
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  const visitor = await administrator.site.somebody();
  await visitor.open(link);
  await type(visitor, account.password, account.password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
  return visitor;
}

async function setOut(visitor, provider) {
  await visitor.go('Sign-in methods');
  await visitor.inspect('methods-linkable');
  await visitor.submit(`Link ${provider.name}`);
  await visitor.heading(`Link ${provider.name}`);
  await visitor.inspect('link-away');
}

async function cancelled(dora, provider) {
  await setOut(dora, provider);
  await dora.follow('Cancel');
  await dora.heading('Sign-in methods');
  await setOut(dora, provider);
  await dora.follow(`Continue to ${provider.name}`);
  await dora.page.locator('button[value="cancel"]').click();
  await dora.heading('Access denied');
  await dora.inspect('link-cancelled');
  await dora.open('/vestibule/');
}

async function linked(dora, provider) {
  await setOut(dora, provider);
  await dora.follow(`Continue to ${provider.name}`);
  await atProvider(dora, provider.person);
  await dora.heading('Sign-in methods');
  await dora.row(provider.name).waitFor();
  expect(await dora.page.getByRole('button', { name: `Link ${provider.name}` }).count() === 0, 'nothing more to link');
  await dora.unfold(`Unlink ${provider.person.user}@example.com`);
  await dora.inspect('methods-linked');
}

async function byProvider(dora, provider, id) {
  await signOut(dora);
  await dora.follow('Sign in again');
  await dora.follow(`Continue with ${provider.name}`);
  // The provider may know her still.
  await dora.page.locator('#username').or(dora.page.getByText('Your account')).first().waitFor();
  if (await dora.page.locator('#username').isVisible()) await atProvider(dora, provider.person);
  await dora.heading('Your account');
  const session = await dora.session();
  expect(session.user_id === id, `the same person by the provider: ${JSON.stringify(session)}`);
  expect(session.provider !== 'local', 'a session by the provider');
  await dora.sees(provider.name);
  await dora.inspect('account-by-provider');
}

/** An identity is one person's. */
async function taken(erin, provider) {
  const { user_id: id } = await erin.session();
  await setOut(erin, provider);
  await erin.follow(`Continue to ${provider.name}`);
  await atProvider(erin, provider.person);
  await erin.heading('This account belongs to another user');
  await erin.inspect('link-taken');
  expect((await erin.session()).user_id === id, 'nothing to have changed');
  await erin.follow('Sign-in methods');
  await erin.heading('Sign-in methods');
  expect(await erin.page.locator('.row').count() === 1, 'nothing to be linked');
}

/** Both have to be proven when it is done. */
async function signedOutMeanwhile(erin, provider) {
  await setOut(erin, provider);
  const page = erin.page;
  erin.page = await page.context().newPage();
  await erin.open('/vestibule/');
  await signOut(erin);
  await erin.page.close();
  erin.page = page;
  await erin.follow(`Continue to ${provider.name}`);
  await erin.heading('Sign in first');
  await erin.inspect('link-signed-out');
  await erin.follow('Sign in');
  await signIn(erin, ERIN);
}

async function unlinked(dora, provider, id) {
  await dora.go('Sign-in methods');
  await dora.unfold(`Unlink ${provider.person.user}@example.com`);
  await dora.submit(`Unlink ${provider.person.user}@example.com`);
  await dora.sees(`Your account at ${provider.name} was unlinked.`);
  expect(await dora.page.locator('summary').count() === 0, 'the last way in not to be taken away');
  await dora.inspect('methods-unlinked');
  expect((await dora.session()).user_id === id, 'this session to go on');

  // Whoever signs in by it now is somebody new.
  await dora.page.context().clearCookies();
  await dora.open('/sso/login');
  await dora.follow(`Continue with ${provider.name}`);
  await atProvider(dora, provider.person);
  await dora.heading('Your account');
  const session = await dora.session();
  expect(session.status === 200 && session.user_id !== id, `another person: ${JSON.stringify(session)}`);
  await dora.page.context().clearCookies();
  await dora.open('/sso/login');
  await signIn(dora, DORA);
  expect((await dora.session()).user_id === id, 'the password to lead to the same person');
}

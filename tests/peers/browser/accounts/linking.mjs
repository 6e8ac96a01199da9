// A user links an identity of a provider, signs in with it and unlinks it. An identity of another user is refused.

import { expect } from '../chromium.mjs';
import { fillPasswords } from './first_administrator.mjs';
import { signIn, signOut } from './invitation.mjs';

const DORA = { email: 'dora@example.com', password: 'nine lamps above the canal' };
const ERIN = { email: 'erin@example.com', password: 'some violins prefer the rain' };

export async function linking(site, provider) {
  const administrator = await site.newVisitor();
  await signInAsAdministrator(administrator, provider);
  const dora = await inviteAndAccept(administrator, DORA);
  const { user_id: id } = await dora.session();

  await cancelLinking(dora, provider);
  await linkIdentity(dora, provider);
  expect((await dora.session()).user_id === id, 'the same user as before');
  await signInWithProvider(dora, provider, id);

  const erin = await inviteAndAccept(administrator, ERIN);
  await linkIdentityOfAnotherUser(erin, provider);
  await linkAfterSignOut(erin, provider);

  await unlinkIdentity(dora, provider, id);
}

/** With a provider and local accounts, the sign-in page offers both. */
async function signInAsAdministrator(administrator, provider) {
  await administrator.open('/vestibule/');
  await administrator.heading('Sign in');
  await administrator.inspect('sign-in-both');
  await administrator.follow(`Continue with ${provider.name}`);
  await fillProviderForm(administrator, provider.administrator);
  await administrator.heading('Your account');
}

/** Fills the provider's sign-in form, without the keyboard's checks of Vestibule's pages. */
async function fillProviderForm(visitor, { user, password }) {
  await visitor.page.locator('#username').fill(user);
  await visitor.page.locator('#password').fill(password);
  await visitor.page.getByRole('button', { name: 'Sign in' }).click();
}

/** Invites a user, who accepts the invitation in a new browser. */
async function inviteAndAccept(administrator, account) {
  await administrator.go('Invitations');
  await administrator.fill('Email', account.email);
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  const visitor = await administrator.site.newVisitor();
  await visitor.open(link);
  await fillPasswords(visitor, account.password, account.password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
  return visitor;
}

async function startLinking(visitor, provider) {
  await visitor.go('Sign-in methods');
  await visitor.inspect('methods-linkable');
  await visitor.submit(`Link ${provider.name}`);
  await visitor.heading(`Link ${provider.name}`);
  await visitor.inspect('link-away');
}

async function cancelLinking(dora, provider) {
  await startLinking(dora, provider);
  await dora.follow('Cancel');
  await dora.heading('Sign-in methods');
  await startLinking(dora, provider);
  await dora.follow(`Continue to ${provider.name}`);
  await dora.page.locator('button[value="cancel"]').click();
  await dora.heading('Access denied');
  await dora.inspect('link-cancelled');
  await dora.open('/vestibule/');
}

async function linkIdentity(dora, provider) {
  await startLinking(dora, provider);
  await dora.follow(`Continue to ${provider.name}`);
  await fillProviderForm(dora, provider.account);
  await dora.heading('Sign-in methods');
  await dora.row(provider.name).waitFor();
  expect(await dora.page.getByRole('button', { name: `Link ${provider.name}` }).count() === 0, 'no other provider to link');
  await dora.unfold(`Unlink ${provider.account.user}@example.com`);
  await dora.inspect('methods-linked');
}

async function signInWithProvider(dora, provider, id) {
  await signOut(dora);
  await dora.follow('Sign in again');
  await dora.follow(`Continue with ${provider.name}`);
  // The provider may still have a session.
  await dora.page.locator('#username').or(dora.page.getByText('Your account')).first().waitFor();
  if (await dora.page.locator('#username').isVisible()) await fillProviderForm(dora, provider.account);
  await dora.heading('Your account');
  const session = await dora.session();
  expect(session.user_id === id, `the same user at the provider: ${JSON.stringify(session)}`);
  expect(session.provider !== 'local', 'a session of the provider');
  await dora.sees(provider.name);
  await dora.inspect('account-by-provider');
}

/** An identity belongs to one user. */
async function linkIdentityOfAnotherUser(erin, provider) {
  const { user_id: id } = await erin.session();
  await startLinking(erin, provider);
  await erin.follow(`Continue to ${provider.name}`);
  await fillProviderForm(erin, provider.account);
  await erin.heading('This account belongs to another user');
  await erin.inspect('link-taken');
  expect((await erin.session()).user_id === id, 'the same user');
  await erin.follow('Sign-in methods');
  await erin.heading('Sign-in methods');
  expect(await erin.page.locator('.row').count() === 1, 'no linked account');
}

/** Linking requires a session at its end too. */
async function linkAfterSignOut(erin, provider) {
  await startLinking(erin, provider);
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

async function unlinkIdentity(dora, provider, id) {
  await dora.go('Sign-in methods');
  await dora.unfold(`Unlink ${provider.account.user}@example.com`);
  await dora.submit(`Unlink ${provider.account.user}@example.com`);
  await dora.sees(`Your account at ${provider.name} was unlinked.`);
  expect(await dora.page.locator('summary').count() === 0, 'no button to unlink the last method');
  await dora.inspect('methods-unlinked');
  expect((await dora.session()).user_id === id, 'the session to stay valid');

  // The unlinked identity now signs in a new user.
  await dora.page.context().clearCookies();
  await dora.open('/sso/login');
  await dora.follow(`Continue with ${provider.name}`);
  await fillProviderForm(dora, provider.account);
  await dora.heading('Your account');
  const session = await dora.session();
  expect(session.status === 200 && session.user_id !== id, `another user: ${JSON.stringify(session)}`);
  await dora.page.context().clearCookies();
  await dora.open('/sso/login');
  await signIn(dora, DORA);
  expect((await dora.session()).user_id === id, 'the password to sign in the same user');
}

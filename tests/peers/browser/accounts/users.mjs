// An administrator searches, disables, enables, signs out, invites and deletes users.

import { expect } from '../chromium.mjs';
import { ADMINISTRATOR } from './first_administrator.mjs';
import { ADA, fillSignIn, signIn } from './invitation.mjs';
import { createKey } from './password.mjs';
import { bearer } from './site.mjs';

export async function users(administrator, ada) {
  await administrator.go('Users');
  await administrator.inspect('users');
  await searchUsers(administrator);
  await openOwnAccount(administrator);
  await disableUser(administrator, ada);
  await enableUser(administrator, ada);
  await endSessions(administrator, ada);
  await inviteAgain(administrator);
  await deleteUser(administrator, ada);
}

async function searchUsers(administrator) {
  const search = async (query) => {
    await administrator.fill('Email or ID', query);
    await administrator.submit('Search');
    await administrator.heading('Users');
  };
  await search('no such user');
  await administrator.sees('No user matches no such user.');
  await administrator.inspect('users-none-found');
  await administrator.follow('Show all users');
  await search('ADA@');
  expect(await administrator.page.locator('.row').count() === 1, 'one user to be found');
}

async function openOwnAccount(administrator) {
  await administrator.go('Users');
  await administrator.follow(ADMINISTRATOR.email);
  await administrator.heading(ADMINISTRATOR.email);
  await administrator.sees('This is your own account.');
  await administrator.inspect('user-oneself');
}

async function openUser(administrator, action) {
  await administrator.go('Users');
  await administrator.follow(ADA.email);
  if (action) await administrator.unfold(action);
}

async function disableUser(administrator, ada) {
  const { authRequest } = administrator.site;
  const cookie = await ada.cookie();
  await openUser(administrator, 'Disable');
  await administrator.inspect('user');
  await administrator.submit(`Disable ${ADA.email}`);
  for (const credential of [{ cookie }, bearer(ada.key)]) {
    expect((await authRequest('/v1/models', credential)).status === 401, 'session and key to end at once');
  }
  await administrator.heading(`${ADA.email} Disabled`);
  await administrator.sees('No sessions');
  await administrator.inspect('user-disabled');
  await administrator.go('Users');
  await administrator.row(ADA.email).getByText('Disabled').waitFor();

  await ada.follow('Keys');
  await ada.heading('Sign in');
  await fillSignIn(ada, ADA.email, ADA.password);
  await ada.submit('Sign in');
  await ada.heading('Your account is disabled');
  await ada.inspect('disabled');
}

async function enableUser(administrator, ada) {
  await openUser(administrator, 'Enable');
  await administrator.inspect('user-enable');
  await administrator.submit(`Enable ${ADA.email}`);
  await administrator.heading(ADA.email);
  expect((await administrator.site.authRequest('/v1/models', bearer(ada.key))).status === 401, 'the ended key to stay invalid');
  await ada.open('/sso/login');
  await signIn(ada, ADA);
  await createKey(ada, 'New key');
}

async function endSessions(administrator, ada) {
  await openUser(administrator, 'End sessions');
  await administrator.submit(`End all sessions of ${ADA.email}`);
  await administrator.heading(ADA.email);
  expect((await ada.session()).status === 401, 'the session to end at once');
  expect((await administrator.site.authRequest('/v1/models', bearer(ada.key))).status === 200, 'the key to stay valid');
  await ada.open('/sso/login');
  await signIn(ada, ADA);
}

async function inviteAgain(administrator) {
  await openUser(administrator);
  await administrator.follow('Invite again');
  await administrator.heading('Invitations');
  expect(await administrator.field('Email').inputValue() === ADA.email, 'the email to be filled in');
  expect(await administrator.field('Role').inputValue() === 'internal_user', 'the role to be kept');
  expect(await administrator.field('Teams').inputValue() === 'research, data', 'the teams to be kept');
  await administrator.sees('This user has an account.');
  await administrator.inspect('invitations-again');
}

async function deleteUser(administrator, ada) {
  const cookie = await ada.cookie();
  await openUser(administrator, 'Delete');
  const address = administrator.page.url();
  await administrator.inspect('user-delete');
  await administrator.submit(`Delete ${ADA.email}`);
  await administrator.heading('Users');
  await administrator.seesNot(ADA.email);
  for (const credential of [{ cookie }, bearer(ada.key)]) {
    expect((await administrator.site.authRequest('/v1/models', credential)).status === 401, 'session and key to end with the user');
  }
  await administrator.open(address);
  await administrator.heading('User not found');
  await administrator.inspect('user-gone');
  await ada.open('/sso/login');
  await fillSignIn(ada, ADA.email, ADA.password);
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await administrator.open('/vestibule/');
}

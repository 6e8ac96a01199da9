// What an administrator does with people: finds, disables, enables, signs out, invites anew and deletes them.

import { expect } from '../chromium.mjs';
import { ADMINISTRATOR } from './first.mjs';
import { ADA, fillSignIn, signIn } from './invitation.mjs';
import { makeKey } from './password.mjs';
import { bearer } from './site.mjs';

export async function people(administrator, ada) {
  await administrator.go('Users');
  await administrator.inspect('people');
  await searched(administrator);
  await oneself(administrator);
  await disabled(administrator, ada);
  await enabled(administrator, ada);
  await signedOut(administrator, ada);
  await invitedAgain(administrator);
  await deleted(administrator, ada);
}

async function searched(administrator) {
  const search = async (words) => {
    await administrator.fill('Email or ID', words);
    await administrator.submit('Search');
    await administrator.heading('Users');
  };
  await search('nobody at all');
  await administrator.sees('No user matches nobody at all.');
  await administrator.inspect('people-none-found');
  await administrator.follow('Show all users');
  await search('ADA@');
  expect(await administrator.page.locator('.row').count() === 1, 'one to be found');
}

async function oneself(administrator) {
  await administrator.go('Users');
  await administrator.follow(ADMINISTRATOR.email);
  await administrator.heading(ADMINISTRATOR.email);
  await administrator.sees('This is your own account.');
  await administrator.inspect('person-oneself');
}

async function to(administrator, action) {
  await administrator.go('Users');
  await administrator.follow(ADA.email);
  if (action) await administrator.unfold(action);
}

async function disabled(administrator, ada) {
  const { checkOf } = administrator.site;
  const cookie = await ada.cookie();
  await to(administrator, 'Disable');
  await administrator.inspect('person');
  await administrator.submit(`Disable ${ADA.email}`);
  for (const credential of [{ cookie }, bearer(ada.key)]) {
    expect((await checkOf('/v1/models', credential)).status === 401, 'session and key to end at once');
  }
  await administrator.heading(`${ADA.email} Disabled`);
  await administrator.sees('No sessions');
  await administrator.inspect('person-disabled');
  await administrator.go('Users');
  await administrator.row(ADA.email).getByText('Disabled').waitFor();

  await ada.follow('Keys');
  await ada.heading('Sign in');
  await fillSignIn(ada, ADA.email, ADA.password);
  await ada.submit('Sign in');
  await ada.heading('Your account is disabled');
  await ada.inspect('disabled');
}

async function enabled(administrator, ada) {
  await to(administrator, 'Enable');
  await administrator.inspect('person-enable');
  await administrator.submit(`Enable ${ADA.email}`);
  await administrator.heading(ADA.email);
  expect((await administrator.site.checkOf('/v1/models', bearer(ada.key))).status === 401, 'a key that has ended to stay so');
  await ada.open('/sso/login');
  await signIn(ada, ADA);
  await makeKey(ada, 'A new one');
}

async function signedOut(administrator, ada) {
  await to(administrator, 'End sessions');
  await administrator.submit(`End all sessions of ${ADA.email}`);
  await administrator.heading(ADA.email);
  expect((await ada.session()).status === 401, 'her session to end at once');
  expect((await administrator.site.checkOf('/v1/models', bearer(ada.key))).status === 200, 'her key to go on');
  await ada.open('/sso/login');
  await signIn(ada, ADA);
}

async function invitedAgain(administrator) {
  await to(administrator);
  await administrator.follow('Invite again');
  await administrator.heading('Invitations');
  expect(await administrator.field('Email').inputValue() === ADA.email, 'the address to be filled in');
  expect(await administrator.field('Role').inputValue() === 'internal_user', 'her role to be kept');
  expect(await administrator.field('Teams').inputValue() === 'research, data', 'her teams to be kept');
  await administrator.sees('This user has an account.');
  await administrator.inspect('invitations-again');
}

async function deleted(administrator, ada) {
  const cookie = await ada.cookie();
  await to(administrator, 'Delete');
  const address = administrator.page.url();
  await administrator.inspect('person-delete');
  await administrator.submit(`Delete ${ADA.email}`);
  await administrator.heading('Users');
  await administrator.hides(ADA.email);
  for (const credential of [{ cookie }, bearer(ada.key)]) {
    expect((await administrator.site.checkOf('/v1/models', credential)).status === 401, 'nothing of hers to be left');
  }
  await administrator.open(address);
  await administrator.heading('User not found');
  await administrator.inspect('person-gone');
  await ada.open('/sso/login');
  await fillSignIn(ada, ADA.email, ADA.password);
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await administrator.open('/vestibule/');
}

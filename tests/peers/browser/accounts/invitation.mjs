// An administrator invites a user, who accepts the invitation, signs out, and signs in again.

import { expect } from '../chromium.mjs';
import { fillPasswords } from './first_administrator.mjs';
import { readCopiedText, readSecret } from './keys.mjs';

export const ADA = { email: 'ada@example.com', password: 'seven otters learn the harp' };

export async function invitation(administrator, ada) {
  const link = await invite(administrator);
  await revokeInvitation(administrator, ada);
  await acceptInvitation(ada, link);
  await administrator.go('Invitations');
  await administrator.row(ADA.email).getByText('Accepted').waitFor();
  await administrator.inspect('invitations-accepted');
  await openAdministrationWithoutRole(ada);
  await signOut(ada);
  await signInAfterMistakes(ada);
}

async function invite(administrator) {
  await administrator.go('Invitations');
  await administrator.sees(/^Created on .* from the command line\.$/);
  await administrator.inspect('invitations');
  await submitInvalidEmails(administrator);
  await fillForm(administrator, ADA.email);
  await administrator.fill('Teams', 'research, data');
  await administrator.submit('Create invitation');
  const link = await readSecret(administrator, 'invitations-created');
  expect(link.startsWith(`${administrator.site.base}/onboarding?invite_link=`), `a link of this site: ${link}`);
  if (administrator.site.hasScripts) expect(await readCopiedText(administrator) === link, 'the button to copy the link');
  return link;
}

async function fillForm(administrator, email) {
  await administrator.fill('Email', email);
  await administrator.choose('Role', 'internal_user');
  await administrator.choose('Expires in', '14 days');
}

async function submitInvalidEmails(administrator) {
  await administrator.fill('Email', 'ada');
  await administrator.press('Create invitation');
  expect(await administrator.validityError('Email') === 'typeMismatch', 'the browser to reject an invalid email');
  await administrator.disableValidation();
  await administrator.submit('Create invitation');
  await administrator.sees('This is not a valid email address.');
  await administrator.inspect('invitations-no-email');
}

/** The link of a revoked invitation is invalid. */
async function revokeInvitation(administrator, ada) {
  await administrator.go('Invitations');
  await fillForm(administrator, 'eve@example.com');
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  await administrator.go('Invitations');
  await administrator.submit('Revoke the invitation for eve@example.com');
  await administrator.heading('Invitations');
  await administrator.seesNot('eve@example.com');
  await ada.open(link);
  await ada.heading('Invalid link');
}

async function acceptInvitation(ada, link) {
  for (let visits = 0; visits < 2; visits += 1) {
    await ada.open(link);
    await ada.heading('Set your password');
    await ada.sees('with the role internal_user');
  }
  await fillPasswords(ada, ADA.password, ADA.password);
  await ada.submit('Set password and sign in');
  await ada.heading('Your account');
  await ada.sees(ADA.email);
  await ada.sees('research');
  await ada.inspect('account-of-ada');
  const response = await ada.site.authRequest('/v1/models', { cookie: await ada.cookie() });
  const isGranted = response.status === 200 && response.role === 'internal_user' && response.teams === 'data,research';
  expect(isGranted, `the invitation's role and teams: ${JSON.stringify(response)}`);
}

/** Users without an administrator's role neither see nor open the pages for administrators. */
async function openAdministrationWithoutRole(ada) {
  await ada.seesNot('Administration');
  for (const page of ['people', 'invitations', 'role-map']) {
    await ada.open(`/vestibule/${page}`);
    await ada.heading('Access denied');
  }
  await ada.inspect('for-administrators');
  await ada.follow('Go to your account');
  await ada.heading('Your account');
}

export async function signOut(visitor) {
  const cookie = await visitor.cookie();
  await visitor.follow('Sign out', visitor.page.getByRole('banner'));
  await visitor.heading('Sign out?');
  await visitor.inspect('sign-out');
  await visitor.submit('Sign out');
  await visitor.heading('You are signed out');
  await visitor.inspect('signed-out');
  expect((await visitor.site.authRequest('/v1/models', { cookie })).status === 401, 'the ended session to be rejected');
}

async function signInAfterMistakes(ada) {
  await ada.follow('Sign in again');
  await ada.heading('Sign in');
  await ada.inspect('sign-in');
  await fillSignIn(ada, ADA.email, 'not the password at all');
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  expect(await ada.field('Email').inputValue() === ADA.email, 'the email to be kept');
  expect(await ada.field('Password').inputValue() === '', 'an empty password field');
  expect(await ada.hasFocus('Password'), 'the password to have the focus');
  await ada.inspect('sign-in-wrong');
  await fillSignIn(ada, 'nobody@example.com', ADA.password);
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await signIn(ada, ADA);
}

export async function fillSignIn(visitor, email, password) {
  await visitor.fill('Email', email);
  await visitor.fill('Password', password);
}

/** Signs in on the sign-in page and waits for the account page. */
export async function signIn(visitor, { email, password }) {
  await fillSignIn(visitor, email, password);
  await visitor.submit('Sign in');
  await visitor.heading('Your account');
}

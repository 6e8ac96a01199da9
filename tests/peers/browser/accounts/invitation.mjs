// An administrator invites somebody, who takes the invitation up, signs out, and in again.

import { expect } from '../chromium.mjs';
import { type } from './first.mjs';
import { copied, shownOnce } from './keys.mjs';

export const ADA = { email: 'ada@example.com', password: 'seven otters learn the harp' };

export async function invitation(administrator, ada) {
  const link = await invite(administrator);
  await withdrawn(administrator, ada);
  await claim(ada, link);
  await administrator.go('Invitations');
  await administrator.row(ADA.email).getByText('Accepted').waitFor();
  await administrator.inspect('invitations-accepted');
  await noPlaceForHer(ada);
  await signOut(ada);
  await signInPastMistakes(ada);
}

async function invite(administrator) {
  await administrator.go('Invitations');
  await administrator.sees(/^Created on .* from the command line\.$/);
  await administrator.inspect('invitations');
  await mistakes(administrator);
  await fill(administrator, ADA.email);
  await administrator.fill('Teams', 'research, data');
  await administrator.submit('Create invitation');
  const link = await shownOnce(administrator, 'invitations-made');
  expect(link.startsWith(`${administrator.site.base}/onboarding?invite_link=`), `a link here: ${link}`);
  if (administrator.site.hasScripts) expect(await copied(administrator) === link, 'the button to copy the link');
  return link;
}

async function fill(administrator, email) {
  await administrator.fill('Email', email);
  await administrator.choose('Role', 'internal_user');
  await administrator.choose('Expires in', '14 days');
}

async function mistakes(administrator) {
  await administrator.fill('Email', 'ada');
  await administrator.press('Create invitation');
  expect(await administrator.invalid('Email') === 'typeMismatch', 'the browser to refuse what is no address');
  await administrator.unguard();
  await administrator.submit('Create invitation');
  await administrator.sees('This is not a valid email address.');
  await administrator.inspect('invitations-no-email');
}

/** One that is taken back lets nobody in. */
async function withdrawn(administrator, ada) {
  await administrator.go('Invitations');
  await fill(administrator, 'eve@example.com');
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  await administrator.go('Invitations');
  await administrator.submit('Revoke the invitation for eve@example.com');
  await administrator.heading('Invitations');
  await administrator.hides('eve@example.com');
  await ada.open(link);
  await ada.heading('Invalid link');
}

async function claim(ada, link) {
  for (let looks = 0; looks < 2; looks += 1) {
    await ada.open(link);
    await ada.heading('Set your password');
    await ada.sees('with the role internal_user');
  }
  await type(ada, ADA.password, ADA.password);
  await ada.submit('Set password and sign in');
  await ada.heading('Your account');
  await ada.sees(ADA.email);
  await ada.sees('research');
  await ada.inspect('account-of-ada');
  const told = await ada.site.checkOf('/v1/models', { cookie: await ada.cookie() });
  const isHers = told.status === 200 && told.role === 'internal_user' && told.teams === 'data,research';
  expect(isHers, `the invitation's role and teams: ${JSON.stringify(told)}`);
}

/** Who is no administrator neither sees their pages nor gets in. */
async function noPlaceForHer(ada) {
  await ada.hides('Administration');
  for (const place of ['people', 'invitations', 'role-map']) {
    await ada.open(`/vestibule/${place}`);
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
  expect((await visitor.site.checkOf('/v1/models', { cookie })).status === 401, 'a session that was ended to be refused');
}

async function signInPastMistakes(ada) {
  await ada.follow('Sign in again');
  await ada.heading('Sign in');
  await ada.inspect('sign-in');
  await fillSignIn(ada, ADA.email, 'not the password at all');
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  expect(await ada.field('Email').inputValue() === ADA.email, 'the address to be kept');
  expect(await ada.field('Password').inputValue() === '', 'the password not to come back');
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

/** On the sign-in page, as far as their account. */
export async function signIn(visitor, { email, password }) {
  await fillSignIn(visitor, email, password);
  await visitor.submit('Sign in');
  await visitor.heading('Your account');
}

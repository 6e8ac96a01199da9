// Pages of rare states: old sign-ins, forged forms, refused role maps, missing cookies and too many attempts.

import { appendFileSync } from 'node:fs';

import { expect } from '../chromium.mjs';
import { ADMINISTRATOR, fillPasswords } from './first_administrator.mjs';
import { fillSignIn, signIn } from './invitation.mjs';

const OSCAR = { email: 'oscar@example.com', password: 'wet socks on the radiator' };
/** The limit of one account for all unknown browsers together. */
const ATTEMPTS_OF_UNKNOWN_BROWSERS = 20;
const PATIENCE = 30_000;

/** With the role map of the test, one team is not valid in a header, and one rule almost matches. */
const CLAIMS = JSON.stringify({ groups: ['/engineering/tools', '/platform-admins', '/teams/data', '/teams/research', '/teams/a,b'] }, undefined, 1);

export async function states(site, link, roleMap) {
  const administrator = await site.newVisitor();
  await acceptInvitation(administrator, link, ADMINISTRATOR);
  await administrator.go('Keys', 'Your keys');
  await administrator.fill('Name', 'Too late');
  const oscar = await inviteLowerAdministrator(administrator);
  await submitOutdatedForm(administrator);
  await submitForgedForms(oscar);
  await explainRole(administrator, roleMap);
  await openUnknownPage(administrator);
  await signInWithoutCookies(await site.newVisitor());
  await exhaustAttempts(await site.newVisitor(), administrator);
}

async function acceptInvitation(visitor, link, { password }) {
  await visitor.open(link);
  await fillPasswords(visitor, password, password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
}

/** Pages offer an administrator with a lower role only permitted actions. */
async function inviteLowerAdministrator(administrator) {
  const page = administrator.page;
  administrator.page = await page.context().newPage();
  await administrator.open('/vestibule/');
  await administrator.go('Invitations');
  await administrator.fill('Email', OSCAR.email);
  await administrator.choose('Role', 'org_admin');
  await administrator.submit('Create invitation');
  const link = await administrator.page.locator('.copyable code').textContent();
  await administrator.page.close();
  administrator.page = page;

  const oscar = await administrator.site.newVisitor();
  await acceptInvitation(oscar, link, OSCAR);
  await oscar.go('Users');
  await oscar.follow(ADMINISTRATOR.email);
  await oscar.sees('This user has a higher role than you.');
  expect(await oscar.page.locator('main form').count() === 0, 'no action');
  await oscar.inspect('user-above');
  await oscar.go('Invitations');
  const roles = await oscar.field('Role').evaluate(({ options }) => [...options].map(({ label }) => label));
  expect(!roles.includes('proxy_admin') && roles.includes('org_admin'), `no higher role in the list: ${roles}`);
  return oscar;
}

/** Waits until the sign-in is too old, opens the pages that ask for a new one, and submits a form that was opened before. */
async function submitOutdatedForm(administrator) {
  const form = administrator.page;
  administrator.page = await form.context().newPage();
  const notice = administrator.page.getByText('To create a key, sign in again');
  const deadline = Date.now() + PATIENCE;
  do {
    expect(Date.now() < deadline, 'the sign-in to be too old by now');
    await administrator.open('/vestibule/keys');
  } while (await notice.count() === 0);
  await administrator.inspect('keys-sign-in-again');
  await administrator.go('Invitations');
  await administrator.sees('To invite a user, sign in again');
  await administrator.inspect('invitations-sign-in-again');
  await administrator.go('Sign-in methods');
  await administrator.page.close();

  administrator.page = form;
  await administrator.submit('Create key');
  await administrator.heading('Sign in again');
  await administrator.inspect('sign-in-again');
  await administrator.follow('Sign in');
  await administrator.heading('Sign in');
  await fillSignIn(administrator, ADMINISTRATOR.email, ADMINISTRATOR.password);
  await administrator.submit('Sign in');
  await administrator.heading('Your keys');
}

async function submitForgedForms(oscar) {
  const forge = () => oscar.page.evaluate(() => { document.querySelector('main input[name="csrf"]').value = 'AAAA'; });
  await oscar.go('Role map');
  await oscar.fill('User (ID or email)', OSCAR.email);
  await forge();
  await oscar.submit('Explain');
  await oscar.heading('Nothing was changed');
  await oscar.inspect('nothing-changed');
  await oscar.follow('Role map');
  await oscar.follow('Sign out', oscar.page.getByRole('banner'));
  await forge();
  await oscar.submit('Sign out');
  await oscar.heading('You are still signed in');
  await oscar.inspect('still-signed-in');
  expect((await oscar.session()).status === 200, 'the session to stay valid');
}

async function explainRole(administrator, roleMap) {
  await administrator.go('Role map');
  await administrator.unfold('Or paste claims');
  await administrator.fill('Claims as JSON', CLAIMS);
  await administrator.unfold('Explain a request too');
  await administrator.fill('URL', `${administrator.site.base}/v1/%2e%2e/ui/`);
  await administrator.submit('Explain');
  for (const text of ['Outranked', 'Near misses', 'Omitted teams', 'Denied']) await administrator.sees(text);
  await administrator.inspect('role-map-explained');

  appendFileSync(roleMap, 'rules: none of them\nteams: 7\n');
  const rejection = administrator.page.getByText('The last update was rejected');
  const deadline = Date.now() + PATIENCE;
  do {
    expect(Date.now() < deadline, 'the update to be rejected by now');
    await administrator.go('Role map');
  } while (await rejection.count() === 0);
  await administrator.inspect('role-map-refused');
}

async function openUnknownPage(administrator) {
  await administrator.open('/vestibule/nowhere');
  await administrator.heading('Page not found');
  await administrator.inspect('not-found');
}

async function signInWithoutCookies(visitor) {
  await visitor.open('/sso/login');
  await fillSignIn(visitor, ADMINISTRATOR.email, ADMINISTRATOR.password);
  await visitor.page.context().clearCookies();
  await visitor.submit('Sign in');
  await visitor.sees('Your browser did not send this site\'s cookie.');
  await visitor.inspect('sign-in-cookies');
}

/** Guesses from unknown browsers do not lock users out of known browsers. */
async function exhaustAttempts(visitor, administrator) {
  await visitor.open('/sso/login');
  const notice = visitor.page.getByText('Too many attempts.');
  for (let attempts = 0; attempts <= ATTEMPTS_OF_UNKNOWN_BROWSERS && await notice.count() === 0; attempts += 1) {
    await fillSignIn(visitor, ADMINISTRATOR.email, `guess number ${attempts}`);
    await visitor.submit('Sign in');
    await visitor.page.getByRole('alert').waitFor();
  }
  await notice.waitFor();
  await visitor.inspect('sign-in-too-often');
  await administrator.open('/sso/login');
  await signIn(administrator, ADMINISTRATOR);
}

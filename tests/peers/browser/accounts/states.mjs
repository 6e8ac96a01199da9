// What is seldom seen, and has to be understood all the more.

import { appendFileSync } from 'node:fs';

import { expect } from '../chromium.mjs';
import { ADMINISTRATOR, type } from './first.mjs';
import { fillSignIn, signIn } from './invitation.mjs';

const OSCAR = { email: 'oscar@example.com', password: 'wet socks on the radiator' };
/** Of all browsers together that nobody has signed in with, for one account. */
const TRIES_OF_STRANGERS = 20;
const PATIENCE = 30_000;

/** By the role map of the test: one team that no header can carry, and one rule that misses by a letter. */
const CLAIMS = JSON.stringify({ groups: ['/engineering/tools', '/platform-admins', '/teams/data', '/teams/research', '/teams/a,b'] }, undefined, 1);

export async function states(site, link, roleMap) {
  const administrator = await site.somebody();
  await claim(administrator, link, ADMINISTRATOR);
  await administrator.go('Keys', 'Your keys');
  await administrator.fill('Name', 'Too late');
  const oscar = await below(administrator);
  await stale(administrator);
  await foreignForm(oscar);
  await explained(administrator, roleMap);
  await nowhere(administrator);
  await withoutCookies(await site.somebody());
  await tooMany(await site.somebody(), administrator);
}

async function claim(visitor, link, { password }) {
  await visitor.open(link);
  await type(visitor, password, password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
}

/** An administrator of a lower role: what they may not do isn't offered. */
async function below(administrator) {
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

  const oscar = await administrator.site.somebody();
  await claim(oscar, link, OSCAR);
  await oscar.go('Users');
  await oscar.follow(ADMINISTRATOR.email);
  await oscar.sees('This user has a higher role than you.');
  expect(await oscar.page.locator('main form').count() === 0, 'no action to be offered');
  await oscar.inspect('person-above');
  await oscar.go('Invitations');
  const roles = await oscar.field('Role').evaluate(({ options }) => [...options].map(({ label }) => label));
  expect(!roles.includes('proxy_admin') && roles.includes('org_admin'), `no higher role to be offered: ${roles}`);
  return oscar;
}

/** A form that lay open until the sign-in was too old for it, and the pages that say so before. */
async function stale(administrator) {
  const form = administrator.page;
  administrator.page = await form.context().newPage();
  const notice = administrator.page.getByText('To create a key, sign in again');
  const deadline = Date.now() + PATIENCE;
  do {
    expect(Date.now() < deadline, 'the sign-in to be too long ago by now');
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
  await administrator.inspect('sign-in-once-more');
  await administrator.follow('Sign in');
  await administrator.heading('Sign in');
  await fillSignIn(administrator, ADMINISTRATOR.email, ADMINISTRATOR.password);
  await administrator.submit('Sign in');
  await administrator.heading('Your keys');
}

async function foreignForm(oscar) {
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
  expect((await oscar.session()).status === 200, 'the session to go on');
}

async function explained(administrator, roleMap) {
  await administrator.go('Role map');
  await administrator.unfold('Or paste claims');
  await administrator.fill('Claims as JSON', CLAIMS);
  await administrator.unfold('Explain a request too');
  await administrator.fill('URL', `${administrator.site.base}/v1/%2e%2e/ui/`);
  await administrator.submit('Explain');
  for (const told of ['Outranked', 'Near misses', 'Omitted teams', 'Denied']) await administrator.sees(told);
  await administrator.inspect('role-map-explained');

  appendFileSync(roleMap, 'rules: none of them\nteams: 7\n');
  const refused = administrator.page.getByText('The last update was rejected');
  const deadline = Date.now() + PATIENCE;
  do {
    expect(Date.now() < deadline, 'the edit to be refused by now');
    await administrator.go('Role map');
  } while (await refused.count() === 0);
  await administrator.inspect('role-map-refused');
}

async function nowhere(administrator) {
  await administrator.open('/vestibule/nowhere');
  await administrator.heading('Page not found');
  await administrator.inspect('not-found');
}

async function withoutCookies(visitor) {
  await visitor.open('/sso/login');
  await fillSignIn(visitor, ADMINISTRATOR.email, ADMINISTRATOR.password);
  await visitor.page.context().clearCookies();
  await visitor.submit('Sign in');
  await visitor.sees('Your browser did not send this site\'s cookie.');
  await visitor.inspect('sign-in-cookies');
}

/** Strangers who guess lock nobody out of a browser that is known. */
async function tooMany(stranger, administrator) {
  await stranger.open('/sso/login');
  const tooOften = stranger.page.getByText('Too many attempts.');
  for (let tries = 0; tries <= TRIES_OF_STRANGERS && await tooOften.count() === 0; tries += 1) {
    await fillSignIn(stranger, ADMINISTRATOR.email, `guess number ${tries}`);
    await stranger.submit('Sign in');
    await stranger.page.getByRole('alert').waitFor();
  }
  await tooOften.waitFor();
  await stranger.inspect('sign-in-too-often');
  await administrator.open('/sso/login');
  await signIn(administrator, ADMINISTRATOR);
}

// The first administrator accepts the printed bootstrap invitation after every kind of invalid password.

import { expect } from '../chromium.mjs';

export const ADMINISTRATOR = { email: 'admin@localhost', password: 'brass kettle on a quiet stove' };

export async function firstAdministrator(visitor, link) {
  for (let visits = 0; visits < 2; visits += 1) {
    await visitor.open(link);
    await visitor.heading('Set your password');
  }
  expect(await visitor.field('Email').inputValue() === ADMINISTRATOR.email, 'the email to be filled in');
  expect(await visitor.cookie() === undefined, 'no session after opening the link');
  await visitor.inspect('onboarding');
  await submitInvalidPasswords(visitor);
  await fillPasswords(visitor, ADMINISTRATOR.password, ADMINISTRATOR.password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
  await visitor.sees('proxy_admin');
  await visitor.sees('Granted by the invitation.');
  await visitor.inspect('account');
  expect((await visitor.session()).user_role === 'proxy_admin', 'the role of an administrator');

  await visitor.open(link);
  await visitor.heading('Invalid link');
  await visitor.inspect('onboarding-used');
  await visitor.open('/vestibule/');
  await visitor.heading('Your account');
}

export async function fillPasswords(visitor, password, confirmation) {
  await visitor.fill('New password', password);
  await visitor.fill('Confirm new password', confirmation);
}

async function submitInvalidPasswords(visitor) {
  // The browser rejects a short password before it sends the form.
  await fillPasswords(visitor, 'short', 'short');
  await visitor.press('Set password and sign in');
  expect(await visitor.validityError('New password') === 'tooShort', 'the browser to refuse a short password');
  const cases = [
    ['mismatch', ADMINISTRATOR.password, `${ADMINISTRATOR.password}!`, 'The passwords do not match.'],
    ['weak', 'password1234', 'password1234', 'The password is too easy to guess.'],
    ['short', 'xk7-quill', 'xk7-quill', 'The password is too short. Use at least 12 characters.'],
    ['long', 'lengthy '.repeat(17), 'lengthy '.repeat(17), 'The password is too long.'],
  ];
  for (const [name, password, confirmation, message] of cases) {
    if (name === 'short') await visitor.disableValidation();
    await fillPasswords(visitor, password, confirmation);
    await visitor.submit('Set password and sign in');
    await visitor.heading('Set your password');
    await visitor.sees(message);
    expect(await visitor.hasFocus('New password'), `the invalid field to have the focus after ${name}`);
    await visitor.inspect(`onboarding-${name}`);
  }
}

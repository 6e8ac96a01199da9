// The first administrator: by the link that the process printed, past every mistake that one can make with it.

import { expect } from '../chromium.mjs';

export const ADMINISTRATOR = { email: 'admin@localhost', password: 'brass kettle on a quiet stove' };

export async function firstAdministrator(visitor, link) {
  for (let looks = 0; looks < 2; looks += 1) {
    await visitor.open(link);
    await visitor.heading('Set your password');
  }
  expect(await visitor.field('Email').inputValue() === ADMINISTRATOR.email, 'the address to be there');
  expect(await visitor.cookie() === undefined, 'a look at the link to sign nobody in');
  await visitor.inspect('onboarding');
  await mistakes(visitor);
  await type(visitor, ADMINISTRATOR.password, ADMINISTRATOR.password);
  await visitor.submit('Set password and sign in');
  await visitor.heading('Your account');
  await visitor.sees('proxy_admin');
  await visitor.sees('Granted by the invitation.');
  await visitor.inspect('account');
  expect((await visitor.session()).user_role === 'proxy_admin', 'the administrator to be one');

  await visitor.open(link);
  await visitor.heading('Invalid link');
  await visitor.inspect('onboarding-used');
  await visitor.open('/vestibule/');
  await visitor.heading('Your account');
}

export async function type(visitor, password, repeated) {
  await visitor.fill('New password', password);
  await visitor.fill('Confirm new password', repeated);
}

async function mistakes(visitor) {
  // The browser itself says that it is too short, before anything is sent.
  await type(visitor, 'short', 'short');
  await visitor.press('Set password and sign in');
  expect(await visitor.invalid('New password') === 'tooShort', 'the browser to refuse a short password');
  const tries = [
    ['mismatch', ADMINISTRATOR.password, `${ADMINISTRATOR.password}!`, 'The passwords do not match.'],
    ['weak', 'password1234', 'password1234', 'The password is too easy to guess.'],
    ['short', 'xk7-quill', 'xk7-quill', 'The password is too short. Use at least 12 characters.'],
    ['long', 'lengthy '.repeat(17), 'lengthy '.repeat(17), 'The password is too long.'],
  ];
  for (const [name, password, repeated, told] of tries) {
    if (name === 'short') await visitor.unguard();
    await type(visitor, password, repeated);
    await visitor.submit('Set password and sign in');
    await visitor.heading('Set your password');
    await visitor.sees(told);
    expect(await visitor.hasFocus('New password'), `the field to mend to have the focus after ${name}`);
    await visitor.inspect(`onboarding-${name}`);
  }
}

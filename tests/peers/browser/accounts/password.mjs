// A change of the password, past mistakes: other sessions end, keys go on.

import { expect } from '../chromium.mjs';
import { type } from './first.mjs';
import { ADA, fillSignIn, signIn, signOut } from './invitation.mjs';
import { elsewhere } from './sessions.mjs';
import { bearer } from './site.mjs';

const OLD = ADA.password;
const NEW = 'a lighthouse for paper boats';

export async function password(ada) {
  const other = await elsewhere(ada);
  await makeKey(ada, 'Nightly run');
  await ada.go('Sign-in methods');
  await ada.inspect('methods');
  await mistakes(ada);
  const before = await ada.cookie();
  await change(ada, OLD, NEW, NEW);
  await ada.sees('Your password was changed. All your other sessions were ended.');
  await ada.inspect('methods-changed');
  ADA.password = NEW;
  expect((await other.session()).status === 401, 'the other browser to be signed out at once');
  expect((await ada.session()).status === 200 && before !== undefined, 'this one to go on');
  expect((await ada.site.checkOf('/v1/models', bearer(ada.key))).status === 200, 'keys to go on');

  await signOut(ada);
  await ada.follow('Sign in again');
  await fillSignIn(ada, ADA.email, OLD);
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await signIn(ada, ADA);
  await other.page.context().close();
}

/** A key that the story goes on with. */
export async function makeKey(ada, name) {
  await ada.go('Keys', 'Your keys');
  await ada.fill('Name', name);
  await ada.submit('Create key');
  await ada.sees('is shown only once');
  ada.key = await ada.page.locator('.copyable code').textContent();
}

async function change(ada, current, next, repeated) {
  await ada.fill('Current password', current);
  await type(ada, next, repeated);
  await ada.submit('Change password');
  await ada.heading('Sign-in methods');
}

async function mistakes(ada) {
  const tries = [
    ['wrong', 'not the password at all', NEW, NEW, 'The current password is wrong.', 'Current password'],
    ['mismatch', OLD, NEW, `${NEW}s`, 'The passwords do not match.', 'New password'],
    ['weak', OLD, 'ada@example.com', 'ada@example.com', 'The password is too easy to guess.', 'New password'],
  ];
  for (const [name, current, next, repeated, told, mend] of tries) {
    await change(ada, current, next, repeated);
    await ada.sees(told);
    expect(await ada.hasFocus(mend), `${mend} to have the focus`);
    await ada.inspect(`methods-${name}`);
  }
}

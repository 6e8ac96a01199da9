// A user changes the password after mistakes: other sessions end, keys remain valid.

import { expect } from '../chromium.mjs';
import { fillPasswords } from './first_administrator.mjs';
import { ADA, fillSignIn, signIn, signOut } from './invitation.mjs';
import { openOtherBrowser } from './sessions.mjs';
import { bearer } from './site.mjs';

const OLD = ADA.password;
const NEW = 'a lighthouse for paper boats';

export async function password(ada) {
  const other = await openOtherBrowser(ada);
  await createKey(ada, 'Nightly run');
  await ada.go('Sign-in methods');
  await ada.inspect('methods');
  await submitMistakes(ada);
  const before = await ada.cookie();
  await changePassword(ada, OLD, NEW, NEW);
  await ada.sees('Your password was changed. All your other sessions were ended.');
  await ada.inspect('methods-changed');
  ADA.password = NEW;
  expect((await other.session()).status === 401, 'the other session to end at once');
  expect((await ada.session()).status === 200 && before !== undefined, 'this session to stay valid');
  expect((await ada.site.authRequest('/v1/models', bearer(ada.key))).status === 200, 'keys to stay valid');

  await signOut(ada);
  await ada.follow('Sign in again');
  await fillSignIn(ada, ADA.email, OLD);
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await signIn(ada, ADA);
  await other.page.context().close();
}

/** Creates a key and stores it in `ada.key`. */
export async function createKey(ada, name) {
  await ada.go('Keys', 'Your keys');
  await ada.fill('Name', name);
  await ada.submit('Create key');
  await ada.sees('is shown only once');
  ada.key = await ada.page.locator('.copyable code').textContent();
}

async function changePassword(ada, current, next, confirmation) {
  await ada.fill('Current password', current);
  await fillPasswords(ada, next, confirmation);
  await ada.submit('Change password');
  await ada.heading('Sign-in methods');
}

async function submitMistakes(ada) {
  const cases = [
    ['wrong', 'not the password at all', NEW, NEW, 'The current password is wrong.', 'Current password'],
    ['mismatch', OLD, NEW, `${NEW}s`, 'The passwords do not match.', 'New password'],
    ['weak', OLD, 'ada@example.com', 'ada@example.com', 'The password is too easy to guess.', 'New password'],
  ];
  for (const [name, current, next, confirmation, message, field] of cases) {
    await changePassword(ada, current, next, confirmation);
    await ada.sees(message);
    expect(await ada.hasFocus(field), `${field} to have the focus`);
    await ada.inspect(`methods-${name}`);
  }
}

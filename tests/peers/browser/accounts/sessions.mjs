// A user with sessions in three browsers ends one of them, then all others.

import { expect } from '../chromium.mjs';
import { ADA, signIn } from './invitation.mjs';

export async function sessions(ada) {
  await ada.go('Sessions', 'Your sessions');
  await ada.sees('This browser');
  await ada.seesNot('End all others');
  await ada.inspect('sessions-one');

  const [library, office] = [await openOtherBrowser(ada), await openOtherBrowser(ada)];
  await ada.go('Sessions', 'Your sessions');
  const rows = ada.page.locator('.row');
  expect(await rows.count() === 3, 'three browsers');
  await rows.first().getByText('This browser').waitFor();
  await ada.sees('Chrome on Linux');
  await ada.unfold('End all others');
  await ada.inspect('sessions-three');

  await ada.submit(rows.nth(1).getByRole('button', { name: /^End the session started on / }));
  expect(await ada.page.locator('.row').count() === 2, 'two browsers');
  const statuses = async () => Promise.all([library, office].map(async (other) => (await other.session()).status));
  const remaining = await statuses();
  expect([...remaining].sort().join() === '200,401', `one session to end: ${remaining}`);
  await ada.unfold('End all others');
  await ada.submit('End all other sessions');
  await ada.seesNot('End all others');
  expect((await statuses()).join() === '401,401', 'both sessions to end');
  expect((await ada.session()).status === 200, 'this session to stay valid');

  await library.open('/vestibule/keys');
  await library.heading('Sign in');
  await Promise.all([library, office].map((other) => other.page.context().close()));
}

/** Signs the user in in another browser. */
export async function openOtherBrowser(ada) {
  const other = await ada.site.newVisitor();
  await other.open('/vestibule/');
  await other.heading('Sign in');
  await signIn(other, ADA);
  return other;
}

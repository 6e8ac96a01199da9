// The browsers in which somebody is signed in: one of them is ended, then all others.

import { expect } from '../chromium.mjs';
import { ADA, signIn } from './invitation.mjs';

export async function sessions(ada) {
  await ada.go('Sessions', 'Your sessions');
  await ada.sees('This browser');
  await ada.hides('End all others');
  await ada.inspect('sessions-one');

  const [library, office] = [await elsewhere(ada), await elsewhere(ada)];
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
  const left = await statuses();
  expect([...left].sort().join() === '200,401', `one of them to be signed out: ${left}`);
  await ada.unfold('End all others');
  await ada.submit('End all other sessions');
  await ada.hides('End all others');
  expect((await statuses()).join() === '401,401', 'both to be signed out');
  expect((await ada.session()).status === 200, 'this one to go on');

  await library.open('/vestibule/keys');
  await library.heading('Sign in');
  await Promise.all([library, office].map((other) => other.page.context().close()));
}

/** The same person in another browser. */
export async function elsewhere(ada) {
  const other = await ada.site.somebody();
  await other.open('/vestibule/');
  await other.heading('Sign in');
  await signIn(other, ADA);
  return other;
}

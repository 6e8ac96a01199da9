// An IDE sends a person who isn't signed in: their password finishes its flow, past a wrong one.

import { expect } from '../chromium.mjs';
import { html, listen } from '../server.mjs';
import { ADA, fillSignIn, signOut } from './invitation.mjs';
import { bearer } from './site.mjs';

export async function application(ada) {
  await signOut(ada);
  const ide = await listen('127.0.0.1', (_, response) => html(response, '<title>IDE</title><p>The IDE has it.</p>'));
  const query = new URLSearchParams({ response_type: 'oauth_token', redirect_uri: `http://127.0.0.1:${ide.port}/cb`, state: 'a b&c' });
  await ada.open(`/sso/key/generate?${query}`);
  await ada.heading('Sign in');
  await fillSignIn(ada, ADA.email, 'not the password at all');
  await ada.submit('Sign in');
  await ada.sees('Email or password is wrong.');
  await fillSignIn(ada, ADA.email, ADA.password);
  await ada.submit('Sign in');
  await ada.heading(`Authorize 127.0.0.1:${ide.port}?`);
  await ada.inspect('application');
  expect(ide.requests.length === 0, 'nothing to reach the IDE before the person agrees');
  await ada.submit('Authorize');
  await ada.sees('The IDE has it.');
  const given = new URLSearchParams(ide.requests[0].split('?')[1]);
  expect(given.get('state') === 'a b&c', `its state to come back: ${ide.requests}`);
  const told = await ada.site.checkOf('/v1/models', bearer(given.get('access_token')));
  expect(told.status === 200 && told.email === ADA.email, `a key of hers: ${JSON.stringify(told)}`);
  ide.close();
  await ada.open('/vestibule/');
  await ada.heading('Your account');
}

// An IDE opens the browser of a user who is not signed in. After a wrong password, the right one completes the flow.

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
  expect(ide.requests.length === 0, 'no request to the IDE before the user agrees');
  await ada.submit('Authorize');
  await ada.sees('The IDE has it.');
  const parameters = new URLSearchParams(ide.requests[0].split('?')[1]);
  expect(parameters.get('state') === 'a b&c', `the unchanged state: ${ide.requests}`);
  const response = await ada.site.authRequest('/v1/models', bearer(parameters.get('access_token')));
  expect(response.status === 200 && response.email === ADA.email, `the user's key: ${JSON.stringify(response)}`);
  ide.close();
  await ada.open('/vestibule/');
  await ada.heading('Your account');
}

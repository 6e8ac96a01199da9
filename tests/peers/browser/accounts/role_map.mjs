// The active role map, and explanations for a user and for pasted claims.

import { ADMINISTRATOR } from './first_administrator.mjs';

const CLAIMS = JSON.stringify({ user_role: 'internal_user', teams: ['research', 'data'] }, undefined, 1);

export async function roleMap(administrator) {
  await administrator.go('Role map');
  await administrator.sees('internal_user_viewer');
  await administrator.inspect('role-map');
  await submitMistakes(administrator);

  await administrator.go('Role map');
  await administrator.fill('User (ID or email)', ADMINISTRATOR.email);
  await administrator.unfold('Explain a request too');
  await administrator.fill('URL', `${administrator.site.base}/v1/models`);
  await administrator.choose('Credential', 'key');
  await administrator.submit('Explain');
  await administrator.sees(`Result for ${ADMINISTRATOR.email}`);
  await administrator.sees('Granted by the invitation.');
  await administrator.sees('Allowed');
  await administrator.inspect('role-map-user');

  await administrator.go('Role map');
  await administrator.unfold('Or paste claims');
  await administrator.fill('Claims as JSON', CLAIMS);
  await administrator.choose('Provider of the claims', 'local');
  await administrator.submit('Explain');
  await administrator.sees('Result for these claims');
  await administrator.inspect('role-map-claims');
}

async function submitMistakes(administrator) {
  await administrator.submit('Explain');
  await administrator.sees('Enter a user or paste claims, but not both.');
  await administrator.inspect('role-map-neither');
  await administrator.fill('User (ID or email)', 'nobody@example.com');
  await administrator.submit('Explain');
  await administrator.sees('This user does not exist.');
  await administrator.go('Role map');
  await administrator.unfold('Or paste claims');
  await administrator.fill('Claims as JSON', '{"groups": [');
  await administrator.submit('Explain');
  await administrator.sees('The claims can\'t be read');
  await administrator.inspect('role-map-malformed');
}

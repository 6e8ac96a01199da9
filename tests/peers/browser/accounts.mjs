// Everything that people do without an identity provider, from the first administrator's printed link on.
//
//   node accounts.mjs <base-url> <check-url> <printed-link> mouse|no-script|phone|keyboard <artifacts-dir>
//
// The last but one says how: with a mouse, the same without JavaScript, by touch on a window of 360 pixels, or with the
// keyboard alone.

import { application } from './accounts/application.mjs';
import { firstAdministrator } from './accounts/first.mjs';
import { invitation } from './accounts/invitation.mjs';
import { keys } from './accounts/keys.mjs';
import { password } from './accounts/password.mjs';
import { people } from './accounts/people.mjs';
import { roleMap } from './accounts/role_map.mjs';
import { sessions } from './accounts/sessions.mjs';
import { begin } from './accounts/site.mjs';
import { run } from './chromium.mjs';

const [base, check, link, mode, artifacts] = process.argv.slice(2);

await begin(mode, { base, check, artifacts }, run, async (site) => {
  const administrator = await site.somebody();
  await firstAdministrator(administrator, link);
  await keys(administrator);
  const ada = await site.somebody();
  await invitation(administrator, ada);
  await sessions(ada);
  await application(ada);
  await password(ada);
  await people(administrator, ada);
  await roleMap(administrator);
});

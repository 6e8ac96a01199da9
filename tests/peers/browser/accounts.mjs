// Local accounts: the bootstrap invitation, keys, invitations, sessions, applications, passwords, users and the role map.
//
//   node accounts.mjs <base-url> <check-url> <bootstrap-link> mouse|no-script|phone|keyboard <artifacts-dir>
//
// The modes are a mouse, a mouse without JavaScript, touch in a window of 360 pixels, and the keyboard alone.

import { application } from './accounts/application.mjs';
import { firstAdministrator } from './accounts/first_administrator.mjs';
import { invitation } from './accounts/invitation.mjs';
import { keys } from './accounts/keys.mjs';
import { password } from './accounts/password.mjs';
import { roleMap } from './accounts/role_map.mjs';
import { sessions } from './accounts/sessions.mjs';
import { runScenario } from './accounts/site.mjs';
import { users } from './accounts/users.mjs';
import { run } from './chromium.mjs';

const [base, check, link, mode, artifacts] = process.argv.slice(2);

await runScenario(mode, { base, check, artifacts }, run, async (site) => {
  const administrator = await site.newVisitor();
  await firstAdministrator(administrator, link);
  await keys(administrator);
  const ada = await site.newVisitor();
  await invitation(administrator, ada);
  await sessions(ada);
  await application(ada);
  await password(ada);
  await users(administrator, ada);
  await roleMap(administrator);
});

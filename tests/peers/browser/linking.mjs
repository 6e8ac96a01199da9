// Users of local accounts link an identity of a real provider, sign in with it, and unlink it.
//
//   node linking.mjs <base-url> <check-url> <provider's-name> <administrator> <password> <user> <password> mouse|no-script|phone|keyboard <artifacts-dir>
//
// Both have accounts at the provider. The role map makes the first one an administrator.

import { linking } from './accounts/linking.mjs';
import { runScenario } from './accounts/site.mjs';
import { run } from './chromium.mjs';

const [base, check, provider, administrator, secret, user, password, mode, artifacts] = process.argv.slice(2);

await runScenario(mode, { base, check, artifacts }, run, (site) => linking(site, {
  name: provider,
  administrator: { user: administrator, password: secret },
  account: { user, password },
}));

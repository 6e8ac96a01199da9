// People with a password link an identity of a real provider to their account, sign in by it, and unlink it.
//
//   node linking.mjs <base-url> <check-url> <provider's-name> <administrator> <password> <user> <password> mouse|no-script|phone|keyboard <artifacts-dir>
//
// Both are known at the provider; by the role map the first one is an administrator here.

import { linking } from './accounts/linking.mjs';
import { begin } from './accounts/site.mjs';
import { run } from './chromium.mjs';

const [base, check, provider, administrator, secret, user, password, mode, artifacts] = process.argv.slice(2);

await begin(mode, { base, check, artifacts }, run, (site) => linking(site, {
  name: provider,
  administrator: { user: administrator, password: secret },
  person: { user, password },
}));

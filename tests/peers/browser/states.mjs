// States of the pages that take an installation made for them: sign-ins that are too long ago, too many tries, forms that
// are none of ours, an administrator below another, a role map that says much and an edit of it that is refused.
//
//   node states.mjs <base-url> <check-url> <printed-link> <role-map-file> mouse|no-script|phone|keyboard <artifacts-dir>
//
// tests/integration/browser/accounts.rs has its configuration.

import { begin } from './accounts/site.mjs';
import { states } from './accounts/states.mjs';
import { run } from './chromium.mjs';

const [base, check, link, roleMap, mode, artifacts] = process.argv.slice(2);

await begin(mode, { base, check, artifacts }, run, (site) => states(site, link, roleMap));

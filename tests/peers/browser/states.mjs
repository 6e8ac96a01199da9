// Pages in states that need a special configuration: old sign-ins, too many attempts, forged forms, an administrator with a
// lower role, and a rejected update of the role map.
//
//   node states.mjs <base-url> <check-url> <bootstrap-link> <role-map-file> mouse|no-script|phone|keyboard <artifacts-dir>
//
// tests/integration/browser/accounts.rs contains the configuration.

import { runScenario } from './accounts/site.mjs';
import { states } from './accounts/states.mjs';
import { run } from './chromium.mjs';

const [base, check, link, roleMap, mode, artifacts] = process.argv.slice(2);

await runScenario(mode, { base, check, artifacts }, run, (site) => states(site, link, roleMap));

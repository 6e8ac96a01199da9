// README's first example, as it stands: what its first command prints is opened in a browser, a key is made there, and its
// last command is given the key.
//
//   node readme.mjs <commands.json> <artifacts-dir>
//
// The commands are strings for a shell: the first serves, the last has `sk-…` where the key goes. A `cargo` that stands in
// for the real one is found by PATH.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { ADMINISTRATOR, type } from './accounts/first.mjs';
import { begin } from './accounts/site.mjs';
import { expect, run } from './chromium.mjs';

const [file, artifacts] = process.argv.slice(2);
const [serve, ask] = JSON.parse(readFileSync(file, 'utf8'));
const PLACEHOLDER = 'sk-…';
const START = 30_000;

/** The server, and the link that it printed. */
async function printedLink(server) {
  const timeout = setTimeout(() => server.kill(), START);
  for await (const line of createInterface({ input: server.stdout })) {
    const [link] = line.match(/http:\/\/\S+\/onboarding\?invite_link=\S+/) ?? [];
    if (link) {
      clearTimeout(timeout);
      server.stdout.resume();
      return link;
    }
  }
  throw new Error(`expected \`${serve}\` to print a link`);
}

expect(ask.split(PLACEHOLDER).length === 2, `${PLACEHOLDER} to stand once in \`${ask}\``);
// A group of its own, so that what the shell starts ends with it.
const server = spawn('/bin/sh', ['-c', serve], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
try {
  const link = await printedLink(server);
  await begin('mouse', { base: new URL(link).origin, check: undefined, artifacts }, run, async (site) => {
    const visitor = await site.somebody();
    await visitor.open(link);
    await type(visitor, ADMINISTRATOR.password, ADMINISTRATOR.password);
    await visitor.submit('Set password and sign in');
    await visitor.heading('Your account');
    await visitor.go('Keys', 'Your keys');
    await visitor.fill('Name', 'First key');
    await visitor.submit('Create key');
    const key = await visitor.page.locator('.copyable code').textContent();
    site.seen.base = site.base;
    site.seen.answer = execFileSync('/bin/sh', ['-c', ask.replace(PLACEHOLDER, key)], { encoding: 'utf8' });
  });
} finally {
  process.kill(-server.pid);
}

// Runs README's first example: opens the link that the first command prints, creates a key, and passes it to the last
// command.
//
//   node readme.mjs <commands.json> <artifacts-dir>
//
// The commands are strings for a shell. The first one starts the server, the last one contains the placeholder `sk-…`. PATH
// contains a replacement of `cargo`.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { ADMINISTRATOR, fillPasswords } from './accounts/first_administrator.mjs';
import { runScenario } from './accounts/site.mjs';
import { expect, run } from './chromium.mjs';

const [file, artifacts] = process.argv.slice(2);
const [serve, request] = JSON.parse(readFileSync(file, 'utf8'));
const PLACEHOLDER = 'sk-…';
const START_TIMEOUT = 30_000;

/** Returns the link that the server prints. */
async function readLink(server) {
  const timeout = setTimeout(() => server.kill(), START_TIMEOUT);
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

expect(request.split(PLACEHOLDER).length === 2, `${PLACEHOLDER} to occur once in \`${request}\``);
// A separate process group, so that the shell's children end with it.
const server = spawn('/bin/sh', ['-c', serve], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
try {
  const link = await readLink(server);
  await runScenario('mouse', { base: new URL(link).origin, check: undefined, artifacts }, run, async (site) => {
    const visitor = await site.newVisitor();
    await visitor.open(link);
    await fillPasswords(visitor, ADMINISTRATOR.password, ADMINISTRATOR.password);
    await visitor.submit('Set password and sign in');
    await visitor.heading('Your account');
    await visitor.go('Keys', 'Your keys');
    await visitor.fill('Name', 'First key');
    await visitor.submit('Create key');
    const key = await visitor.page.locator('.copyable code').textContent();
    site.report.base = site.base;
    site.report.answer = execFileSync('/bin/sh', ['-c', request.replace(PLACEHOLDER, key)], { encoding: 'utf8' });
  });
} finally {
  process.kill(-server.pid);
}

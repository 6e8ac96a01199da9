// Headless Chromium with a fresh profile, and what every script of this folder shares.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--no-proxy-server',
];
const PATIENCE = 20_000;

export const DESKTOP = { width: 1120, height: 760 };
export const PHONE = { width: 390, height: 844 };

/**
 * Runs `script({ context, page, seen, shoot, another })` in a browser of its own, prints `seen` as one
 * line of JSON and ends with 0; a script that throws prints why and ends with 1.
 *
 * `another()` is a second person: a page that shares no cookie with any other. Everything that a content
 * security policy blocked and every error of a page is in `seen.complaints`.
 */
export async function run(artifacts, options, script) {
  const profile = mkdtempSync(join(tmpdir(), `vestibule-${process.pid}-chromium-`));
  const seen = { complaints: [] };
  const { args = FLAGS, ...look } = options;
  let context;
  let page;
  const shoot = async (name) => page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
  const prepare = async (own) => {
    own.setDefaultTimeout(PATIENCE);
    const first = own.pages()[0] ?? await own.newPage();
    listen(first, seen);
    return first;
  };
  const another = async (given = {}) => prepare(await context.browser().newContext({ viewport: DESKTOP, ...look, ...given }));
  mkdirSync(artifacts, { recursive: true });
  try {
    expect(existsSync(EXECUTABLE), `${EXECUTABLE} to be there: run \`make peers\``);
    context = await chromium.launchPersistentContext(profile, {
      executablePath: EXECUTABLE,
      headless: true,
      args,
      viewport: DESKTOP,
      ...look,
    });
    page = await prepare(context);
    await script({ context, page, seen, shoot, another });
    console.log(JSON.stringify(seen));
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
    const pages = context?.browser()?.contexts().flatMap((own) => own.pages()) ?? [];
    for (const [index, open] of pages.entries()) {
      console.error(`window ${index} at ${open.url()}: ${await open.title().catch(() => '?')}`);
      await open.screenshot({ path: join(artifacts, `failure-${index}.png`), fullPage: true }).catch(() => {});
    }
    console.log(JSON.stringify(seen));
  } finally {
    await context?.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

function listen(page, seen) {
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') seen.complaints.push(message.text());
  });
}

export function expect(condition, what) {
  if (!condition) throw new Error(`expected ${what}`);
}

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
 * Runs `script({ context, page, seen, shoot })` in a browser of its own, prints `seen` as one line
 * of JSON and ends with 0; a script that throws prints why and ends with 1.
 *
 * Everything that a content security policy blocked and every error of a page is in
 * `seen.complaints`.
 */
export async function run(artifacts, options, script) {
  const profile = mkdtempSync(join(tmpdir(), `vestibule-${process.pid}-chromium-`));
  const seen = { complaints: [] };
  let context;
  let page;
  const shoot = async (name) => page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
  mkdirSync(artifacts, { recursive: true });
  try {
    expect(existsSync(EXECUTABLE), `${EXECUTABLE} to be there: run \`make peers\``);
    context = await chromium.launchPersistentContext(profile, {
      executablePath: EXECUTABLE,
      headless: true,
      args: FLAGS,
      viewport: DESKTOP,
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    page = context.pages()[0] ?? await context.newPage();
    page.on('pageerror', (error) => seen.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') seen.complaints.push(message.text());
    });
    await script({ context, page, seen, shoot });
    console.log(JSON.stringify(seen));
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
    console.error(`at ${page?.url()}: ${await page?.title().catch(() => '?')}`);
    await shoot('failure').catch(() => {});
    console.log(JSON.stringify(seen));
  } finally {
    await context?.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

export function expect(condition, what) {
  if (!condition) throw new Error(`expected ${what}`);
}

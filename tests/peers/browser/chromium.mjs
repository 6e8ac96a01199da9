// Runs headless Chromium with a new profile, for every script of this folder.

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
 * Runs `script({ context, page, report, shoot, newPage })` in a new browser, prints `report` as one line of JSON and
 * exits with 0. If the script throws, it prints the error and exits with 1.
 *
 * `newPage()` returns a page that shares no cookies with other pages, for another user. `report.errors` lists all errors
 * of pages and all violations of the content security policy.
 */
export async function run(artifacts, options, script) {
  const profile = mkdtempSync(join(tmpdir(), `vestibule-${process.pid}-chromium-`));
  const report = { errors: [] };
  const { args = FLAGS, ...look } = options;
  let context;
  let page;
  const shoot = async (name) => page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
  const prepare = async (target) => {
    target.setDefaultTimeout(PATIENCE);
    const first = target.pages()[0] ?? await target.newPage();
    listen(first, report);
    return first;
  };
  const newPage = async (overrides = {}) => prepare(await context.browser().newContext({ viewport: DESKTOP, ...look, ...overrides }));
  mkdirSync(artifacts, { recursive: true });
  try {
    expect(existsSync(EXECUTABLE), `${EXECUTABLE} to exist: run \`make peers\``);
    context = await chromium.launchPersistentContext(profile, {
      executablePath: EXECUTABLE,
      headless: true,
      args,
      viewport: DESKTOP,
      ...look,
    });
    page = await prepare(context);
    await script({ context, page, report, shoot, newPage });
    console.log(JSON.stringify(report));
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
    const pages = context?.browser()?.contexts().flatMap((each) => each.pages()) ?? [];
    for (const [index, open] of pages.entries()) {
      console.error(`window ${index} at ${open.url()}: ${await open.title().catch(() => '?')}`);
      await open.screenshot({ path: join(artifacts, `failure-${index}.png`), fullPage: true }).catch(() => {});
    }
    console.log(JSON.stringify(report));
  } finally {
    await context?.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

function listen(page, report) {
  page.on('pageerror', (error) => report.errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') report.errors.push(message.text());
  });
}

export function expect(condition, expectation) {
  if (!condition) throw new Error(`expected ${expectation}`);
}

// Checks a page: its accessibility with axe-core, and horizontal scrolling.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect } from './chromium.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** The rules whose result depends on colors and width. All other rules depend only on the document. */
const BY_LOOK = { type: 'rule', values: ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size'] };

export const SCHEMES = ['light', 'dark'];

/** Runs axe-core in the page through the debugger, to which its content security policy does not apply. */
export async function violations(page) {
  const isLoaded = await page.evaluate(() => 'axe' in globalThis);
  if (!isLoaded) await page.evaluate(AXE);
  const options = { preload: false, resultTypes: ['violations'], ...(isLoaded ? { runOnly: BY_LOOK } : { rules: { 'target-size': { enabled: true } } }) };
  const result = await page.evaluate((settings) => globalThis.axe.run(document, settings), options);
  // A run that checked nothing would also report nothing.
  expect(result.passes.some(({ id }) => id === 'color-contrast'), 'axe-core to check the contrast');
  return result.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** The pixels by which the page is wider than its window. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/** Opens the same document in a window with scripts, for axe-core. The page's own scripts are not loaded. */
export async function mirror(page, target) {
  const body = await page.content();
  await target.setViewportSize(page.viewportSize());
  await target.unrouteAll();
  await target.route('**/*', (route) => {
    if (route.request().isNavigationRequest()) return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
    return route.request().resourceType() === 'script' ? route.fulfill({ contentType: 'text/javascript', body: '' }) : route.continue();
  });
  await target.goto(page.url());
}

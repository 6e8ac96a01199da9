// What is judged of a page that is shown: its accessibility by axe-core, and that it doesn't scroll sideways.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect } from './chromium.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** The rules whose result depends on colors and width. All other rules depend only on the document. */
const BY_LOOK = { type: 'rule', values: ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size'] };

export const SCHEMES = ['light', 'dark'];

/** In the page's own world by the debugger, which its content security policy does not concern. */
export async function violations(page) {
  const again = await page.evaluate(() => 'axe' in globalThis);
  if (!again) await page.evaluate(AXE);
  const options = { preload: false, resultTypes: ['violations'], ...(again ? { runOnly: BY_LOOK } : { rules: { 'target-size': { enabled: true } } }) };
  const result = await page.evaluate((given) => globalThis.axe.run(document, given), options);
  // Rules that looked at nothing would find nothing.
  expect(result.passes.some(({ id }) => id === 'color-contrast'), 'axe-core to have judged the contrast');
  return result.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** How far the page is wider than its window. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/**
 * The same document in a window of its own where scripts run, so that axe-core does: none of the page's own is let
 * through.
 */
export async function mirror(page, into) {
  const body = await page.content();
  await into.setViewportSize(page.viewportSize());
  await into.unrouteAll();
  await into.route('**/*', (route) => {
    if (route.request().isNavigationRequest()) return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
    return route.request().resourceType() === 'script' ? route.fulfill({ contentType: 'text/javascript', body: '' }) : route.continue();
  });
  await into.goto(page.url());
}

// Checks the order and the visibility of the keyboard focus on a page.

import { expect } from './chromium.mjs';

/** WCAG 2.2, 1.4.11 and 2.4.13. */
const MIN_CONTRAST = 3;
const MIN_WIDTH = 2;

export const isFocused = (target) => target.evaluate((element) => element === document.activeElement);

/** Describes the focused element as users see it. Returns nothing if no element has the focus. */
const readFocus = (page) => page.evaluate(async () => {
  // The browser scrolls to the element with the next frame.
  await new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
  const element = document.activeElement;
  if (!element || element === document.body || element === document.documentElement) return undefined;
  const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (from) => {
    for (let at = from; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      const [, , , alpha = 1] = channels(backgroundColor);
      if (alpha > 0) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  };
  const { outlineStyle, outlineWidth, outlineOffset, outlineColor } = getComputedStyle(element);
  // The ring is outside of the element.
  const lights = [luminance(outlineColor), luminance(background(element.parentElement))].sort((one, other) => other - one);
  const ring = Math.max(0, Number.parseFloat(outlineWidth) + Number.parseFloat(outlineOffset));
  const box = element.getBoundingClientRect();
  // Browsers scroll the caret's line of a textarea into view, and not the whole element.
  const below = element.tagName === 'TEXTAREA' ? box.top + Number.parseFloat(getComputedStyle(element).lineHeight) : box.bottom + ring;
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    html: element.outerHTML.slice(0, 160),
    place: element.dataset.place,
    box: { top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left, right: box.right },
    style: outlineStyle,
    width: Number.parseFloat(outlineWidth),
    contrast: (lights[0] + 0.05) / (lights[1] + 0.05),
    inView: box.width > 0 && box.height > 0 && box.top - ring > -1 && box.left - ring > -1 && below < innerHeight + 1 && box.right + ring < innerWidth + 1,
    covered: top !== null && !element.contains(top) && !top.contains(element),
  };
});

/** Asserts that the focus is visible, and returns the focused element. */
export async function assertFocusIsVisible(page) {
  const at = await readFocus(page);
  if (!at) return undefined;
  const isRing = at.style !== 'none' && at.width >= MIN_WIDTH && at.contrast >= MIN_CONTRAST;
  expect(isRing && at.inView && !at.covered, `a visible focus: ${JSON.stringify(at)}`);
  return at;
}

/**
 * Presses Tab through the page. Returns the controls that are not reached once, in document order and from top to bottom.
 */
export async function tabOrderErrors(page) {
  const expected = await page.evaluate(() => {
    const controls = 'a[href], button, input:not([type="hidden"]), select, textarea, summary, [tabindex]';
    const open = [...document.querySelectorAll(controls)].filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0);
    open.forEach((element, place) => { element.dataset.place = place; });
    return open.map((element) => element.outerHTML.slice(0, 120));
  });
  const places = [];
  const isVisited = (place) => places.some(([visited]) => visited === place);
  // The focus may start anywhere. After the last element it continues with the first.
  for (let tabs = 0; tabs < 2 * expected.length + 4 && places.length < expected.length; tabs += 1) {
    await page.keyboard.press('Tab');
    const at = await assertFocusIsVisible(page);
    if (at && !isVisited(at.place)) places.push([at.place, at.box]);
  }
  await page.evaluate(() => document.querySelectorAll('[data-place]').forEach((element) => delete element.dataset.place));
  const missing = expected.filter((_, place) => !isVisited(String(place)));
  const start = Math.max(places.findIndex(([place]) => place === '0'), 0);
  const round = [...places.slice(start), ...places.slice(0, start)];
  const jumps = round.slice(1).flatMap(([place, box], index) => {
    const [before, above] = round[index];
    const isBackwards = Number(place) < Number(before);
    const isUpwards = box.bottom <= above.top && box.left < above.right;
    // The link that skips the navigation is above the page while it has the focus.
    return isBackwards || (isUpwards && before !== '0') ? [`${expected[before]} -> ${expected[place]}`] : [];
  });
  return [...missing.map((html) => `not reached: ${html}`), ...jumps.map((html) => `out of order: ${html}`)];
}

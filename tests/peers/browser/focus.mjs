// Where the keyboard's focus goes on a page, in which order, and whether one sees it.

import { expect } from './chromium.mjs';

/** WCAG 2.2, 1.4.11 and 2.4.13. */
const LEAST_CONTRAST = 3;
const LEAST_WIDTH = 2;

export const isFocused = (target) => target.evaluate((element) => element === document.activeElement);

/** What has the focus, as a person sees it; nothing where the focus is on no element. */
const focused = (page) => page.evaluate(async () => {
  // The browser scrolls to it with the next frame.
  await new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
  const element = document.activeElement;
  if (!element || element === document.body || element === document.documentElement) return undefined;
  const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (from) => {
    for (let at = from; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      const [, , , alpha = 1] = channels(backgroundColor);
      if (alpha > 0) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  };
  const { outlineStyle, outlineWidth, outlineOffset, outlineColor } = getComputedStyle(element);
  // The ring lies outside of what it is round.
  const lights = [luminance(outlineColor), luminance(ground(element.parentElement))].sort((one, other) => other - one);
  const ring = Math.max(0, Number.parseFloat(outlineWidth) + Number.parseFloat(outlineOffset));
  const box = element.getBoundingClientRect();
  // Of a textarea browsers bring the line of the caret into view, and not all the rest.
  const below = element.tagName === 'TEXTAREA' ? box.top + Number.parseFloat(getComputedStyle(element).lineHeight) : box.bottom + ring;
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    what: element.outerHTML.slice(0, 160),
    place: element.dataset.place,
    box: { top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left, right: box.right },
    style: outlineStyle,
    width: Number.parseFloat(outlineWidth),
    contrast: (lights[0] + 0.05) / (lights[1] + 0.05),
    inView: box.width > 0 && box.height > 0 && box.top - ring > -1 && box.left - ring > -1 && below < innerHeight + 1 && box.right + ring < innerWidth + 1,
    covered: top !== null && !element.contains(top) && !top.contains(element),
  };
});

/** Gives what has the focus, after it has been seen to. */
export async function assertFocusShows(page) {
  const at = await focused(page);
  if (!at) return undefined;
  const isRing = at.style !== 'none' && at.width >= LEAST_WIDTH && at.contrast >= LEAST_CONTRAST;
  expect(isRing && at.inView && !at.covered, `the focus to be seen: ${JSON.stringify(at)}`);
  return at;
}

/**
 * Goes once round the page by Tab: everything that can be worked is reached, once, in the order of the document and
 * from top to bottom. Gives what is not so.
 */
export async function orderMistakes(page) {
  const expected = await page.evaluate(() => {
    const working = 'a[href], button, input:not([type="hidden"]), select, textarea, summary, [tabindex]';
    const open = [...document.querySelectorAll(working)].filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0);
    open.forEach((element, place) => { element.dataset.place = place; });
    return open.map((element) => element.outerHTML.slice(0, 120));
  });
  const places = [];
  const isThere = (place) => places.some(([known]) => known === place);
  // The focus may begin anywhere; beyond the last it begins anew.
  for (let tabs = 0; tabs < 2 * expected.length + 4 && places.length < expected.length; tabs += 1) {
    await page.keyboard.press('Tab');
    const at = await assertFocusShows(page);
    if (at && !isThere(at.place)) places.push([at.place, at.box]);
  }
  await page.evaluate(() => document.querySelectorAll('[data-place]').forEach((element) => delete element.dataset.place));
  const missing = expected.filter((_, place) => !isThere(String(place)));
  const began = Math.max(places.findIndex(([place]) => place === '0'), 0);
  const round = [...places.slice(began), ...places.slice(0, began)];
  const jumps = round.slice(1).flatMap(([place, box], index) => {
    const [before, above] = round[index];
    const isBackwards = Number(place) < Number(before);
    const isUpwards = box.bottom <= above.top && box.left < above.right;
    // The link that skips the navigation lies above the page while it has the focus.
    return isBackwards || (isUpwards && before !== '0') ? [`${expected[before]} -> ${expected[place]}`] : [];
  });
  return [...missing.map((what) => `not reached: ${what}`), ...jumps.map((what) => `out of order: ${what}`)];
}

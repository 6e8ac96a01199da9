// Operates a page with a mouse, by touch, or with the keyboard alone.

import { expect } from './chromium.mjs';
import { assertFocusIsVisible, isFocused } from './focus.mjs';

/** More than any page has focusable elements. */
const MAX_TABS = 120;

const pointer = {
  fill: (field, text) => field.fill(text),
  choose: (field, option) => field.selectOption({ label: option }),
};

export const mouse = {
  ...pointer,
  press: (target) => target.click(),
  tick: (box) => box.check(),
};

export const touch = {
  ...pointer,
  press: (target) => target.tap(),
  tick: (box) => box.tap(),
};

/** Tab, Space, Enter, arrows and letters. Every focused element on the way must have a visible focus. */
export const keyboard = {
  async press(target) {
    await focusByTab(target);
    // Space presses buttons and opens details. Links react to Enter only.
    const isLink = await target.evaluate((element) => element.tagName === 'A');
    await target.page().keyboard.press(isLink ? 'Enter' : 'Space');
  },

  async fill(field, text) {
    await focusByTab(field);
    const { keyboard: keys } = field.page();
    await keys.press('ControlOrMeta+A');
    await keys.press('Delete');
    await keys.type(text);
  },

  async choose(field, option) {
    await focusByTab(field);
    const steps = await field.evaluate((select, wantedLabel) => {
      const place = [...select.options].findIndex(({ label }) => label === wantedLabel);
      return place < 0 ? undefined : place - select.selectedIndex;
    }, option);
    expect(steps !== undefined, `the option ${option}`);
    for (let step = 0; step < Math.abs(steps); step += 1) {
      await field.page().keyboard.press(steps > 0 ? 'ArrowDown' : 'ArrowUp');
    }
    expect(await field.evaluate((select) => select.selectedOptions[0].label) === option, `arrows to choose ${option}`);
  },

  async tick(box) {
    await focusByTab(box);
    await box.page().keyboard.press('Space');
    expect(await box.isChecked(), 'Space to tick the box');
  },
};

/** Presses Tab until the target has the focus. */
async function focusByTab(target) {
  await target.waitFor();
  const page = target.page();
  for (let tabs = 0; tabs < MAX_TABS; tabs += 1) {
    if (await isFocused(target)) return;
    await page.keyboard.press('Tab');
    await assertFocusIsVisible(page);
  }
  throw new Error(`expected ${target} to be reached by Tab`);
}

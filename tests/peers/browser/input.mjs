// Works a page with a mouse, by touch, or with the keyboard alone.

import { expect } from './chromium.mjs';
import { assertFocusShows, isFocused } from './focus.mjs';

/** More than any page has places to go to. */
const MOST_TABS = 120;

const pointing = {
  fill: (field, text) => field.fill(text),
  choose: (field, option) => field.selectOption({ label: option }),
};

export const mouse = {
  ...pointing,
  press: (target) => target.click(),
  tick: (box) => box.check(),
};

export const touch = {
  ...pointing,
  press: (target) => target.tap(),
  tick: (box) => box.tap(),
};

/** Tab, Space, Enter, arrows and letters; what has the focus on the way has to show it. */
export const keyboard = {
  async press(target) {
    await reach(target);
    // Space presses buttons and unfolds; links know Enter alone.
    const isLink = await target.evaluate((element) => element.tagName === 'A');
    await target.page().keyboard.press(isLink ? 'Enter' : 'Space');
  },

  async fill(field, text) {
    await reach(field);
    const { keyboard: keys } = field.page();
    await keys.press('ControlOrMeta+A');
    await keys.press('Delete');
    await keys.type(text);
  },

  async choose(field, option) {
    await reach(field);
    const steps = await field.evaluate((select, wanted) => {
      const place = [...select.options].findIndex(({ label }) => label === wanted);
      return place < 0 ? undefined : place - select.selectedIndex;
    }, option);
    expect(steps !== undefined, `${option} to be there to choose`);
    for (let step = 0; step < Math.abs(steps); step += 1) {
      await field.page().keyboard.press(steps > 0 ? 'ArrowDown' : 'ArrowUp');
    }
    expect(await field.evaluate((select) => select.selectedOptions[0].label) === option, `arrows to have chosen ${option}`);
  },

  async tick(box) {
    await reach(box);
    await box.page().keyboard.press('Space');
    expect(await box.isChecked(), 'Space to have ticked the box');
  },
};

/** From wherever the focus is, by Tab. */
async function reach(target) {
  await target.waitFor();
  const page = target.page();
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    if (await isFocused(target)) return;
    await page.keyboard.press('Tab');
    await assertFocusShows(page);
  }
  throw new Error(`expected ${target} to be reached by Tab`);
}

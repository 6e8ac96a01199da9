// A user with a browser. Tests name controls and texts by the words on the page.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from './chromium.mjs';
import { isFocused, tabOrderErrors } from './focus.mjs';
import { keyboard } from './input.mjs';
import { SCHEMES, mirror, overflow, violations } from './inspect.mjs';

const PATIENCE = 5000;

export class Visitor {
  /**
   * `site` is the context of all visitors: the addresses, the input device, a window for axe-core if scripts are off, and
   * `report`.
   */
  constructor(page, site) {
    this.page = page;
    this.site = site;
  }

  /** Opens an address directly. Visitors reach other pages by links. */
  open(address) {
    return this.page.goto(new URL(address, this.site.base).href);
  }

  /** Opens a page by the navigation, whose link is then marked as current. */
  async go(place, title = place) {
    await this.submit(this.page.getByRole('navigation').getByRole('link', { name: place, exact: true }));
    await this.heading(title);
    const current = await this.page.locator('nav [aria-current="page"]').textContent();
    expect(current === place, `the current page ${place}, not ${current}`);
  }

  heading(name) {
    return this.page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  }

  sees(text) {
    return this.page.getByText(text).first().waitFor();
  }

  async seesNot(text) {
    expect(await this.page.getByText(text).count() === 0, `no text ${text}`);
  }

  /** The row of a list that contains this text. */
  row(text) {
    return this.page.locator('.row', { hasText: text });
  }

  /** The field with this label. Password fields have no role; the label's text of other fields contains their value. */
  field(label, within = this.page) {
    const withRole = (role) => within.getByRole(role, { name: label, exact: true });
    const candidates = within.getByLabel(label, { exact: true }).or(withRole('textbox')).or(withRole('combobox'));
    return candidates.and(within.locator('input, select, textarea'));
  }

  fill(label, text, within = this.page) {
    return this.site.input.fill(this.field(label, within), text);
  }

  choose(label, option, within = this.page) {
    return this.site.input.choose(this.field(label, within), option);
  }

  tick(label, within = this.page) {
    return this.site.input.tick(this.field(label, within));
  }

  /** Opens the details element with this text or accessible name. */
  async unfold(name, within = this.page) {
    const summary = within.locator('summary', { hasText: name }).or(within.locator(`summary[aria-label="${name}"]`)).first();
    await this.site.input.press(summary);
    expect(await summary.evaluate((element) => element.parentElement.open), `${name} to be open`);
  }

  press(name, within = this.page) {
    return this.site.input.press(within.getByRole('button', { name, exact: true }));
  }

  /** Presses a button or link, and waits until the next page is loaded. */
  async submit(target, within = this.page) {
    const isName = typeof target === 'string' || target instanceof RegExp;
    const place = isName ? within.getByRole('button', { name: target, exact: true }) : target;
    await Promise.all([this.page.waitForEvent('domcontentloaded'), this.site.input.press(place)]);
    await this.page.waitForLoadState();
  }

  follow(name, within = this.page) {
    return this.submit(within.getByRole('link', { name, exact: true }));
  }

  /** Browsers move the focus in a separate frame after the page is loaded. */
  async hasFocus(label) {
    const deadline = Date.now() + PATIENCE;
    while (!await isFocused(this.field(label))) {
      if (Date.now() > deadline) return false;
      await this.page.waitForTimeout(50);
    }
    return true;
  }

  /** The browser's validity error of a field. */
  async validityError(label) {
    return this.field(label).evaluate(({ validity }) => {
      for (const name in validity) if (name !== 'valid' && validity[name]) return name;
      return undefined;
    });
  }

  /** Disables the browser's validation, so that the server validates the form. */
  disableValidation() {
    return this.page.evaluate(() => document.querySelectorAll('form').forEach((form) => { form.noValidate = true; }));
  }

  /** The session's cookie as a header, or nothing. */
  async cookie() {
    const cookies = await this.page.context().cookies(this.site.base);
    const session = cookies.find(({ name }) => name === 'vestibule');
    return session && `vestibule=${session.value}`;
  }

  /** The current user, from `/sso/session`. */
  async session() {
    const answer = await fetch(new URL('/sso/session', this.site.base), { headers: { cookie: await this.cookie() ?? '' } });
    return { status: answer.status, ...await answer.json() };
  }

  /** Checks the current page in light and in dark, once for each name. */
  async inspect(name) {
    const { site, page } = this;
    if (site.report.views.some((view) => view.name === name)) return;
    mkdirSync(site.artifacts, { recursive: true });
    for (const scheme of SCHEMES) {
      // A color in a transition has its own contrast.
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      const shot = `${name}-${scheme}`;
      await page.screenshot({ path: join(site.artifacts, `${shot}.png`), fullPage: true });
      const view = { name, scheme, shot, overflow: await overflow(page), violations: await this.findViolations(scheme) };
      if (site.input === keyboard) view.order = await tabOrderErrors(page);
      site.report.views.push(view);
    }
    await page.emulateMedia({ colorScheme: SCHEMES[0], reducedMotion: 'reduce' });
  }

  async findViolations(scheme) {
    const { mirror: window } = this.site;
    if (!window) return violations(this.page);
    await window.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    if (scheme === SCHEMES[0]) await mirror(this.page, window);
    return violations(window);
  }
}

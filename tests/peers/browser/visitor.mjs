// A person at a browser of their own: what they press, fill in and see, said by the words on the page.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from './chromium.mjs';
import { isFocused, orderMistakes } from './focus.mjs';
import { keyboard } from './input.mjs';
import { SCHEMES, mirror, overflow, violations } from './inspect.mjs';

const PATIENCE = 5000;

export class Visitor {
  /**
   * `site` has what is the same for everybody: where Vestibule is, which input device works the pages, a window for
   * axe-core where scripts are off, and `seen`.
   */
  constructor(page, site) {
    this.page = page;
    this.site = site;
  }

  /** An address that somebody sent them; pages of ours are otherwise reached by links. */
  open(address) {
    return this.page.goto(new URL(address, this.site.base).href);
  }

  /** By the navigation, whose link then says that this is the page. */
  async go(place, title = place) {
    await this.submit(this.page.getByRole('navigation').getByRole('link', { name: place, exact: true }));
    await this.heading(title);
    const current = await this.page.locator('nav [aria-current="page"]').textContent();
    expect(current === place, `the navigation to say ${place}, not ${current}`);
  }

  heading(name) {
    return this.page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  }

  sees(text) {
    return this.page.getByText(text).first().waitFor();
  }

  async hides(text) {
    expect(await this.page.getByText(text).count() === 0, `not to see ${text}`);
  }

  /** A row of a list, by what stands in it. */
  row(text) {
    return this.page.locator('.row', { hasText: text });
  }

  /** A field by the words of its label. Passwords have no role; of others the label's text holds what was typed. */
  field(label, within = this.page) {
    const named = (role) => within.getByRole(role, { name: label, exact: true });
    const labelled = within.getByLabel(label, { exact: true }).or(named('textbox')).or(named('combobox'));
    return labelled.and(within.locator('input, select, textarea'));
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

  /** A part of the page that is folded, by its words or by its name. */
  async unfold(name, within = this.page) {
    const summary = within.locator('summary', { hasText: name }).or(within.locator(`summary[aria-label="${name}"]`)).first();
    await this.site.input.press(summary);
    expect(await summary.evaluate((element) => element.parentElement.open), `${name} to be unfolded`);
  }

  press(name, within = this.page) {
    return this.site.input.press(within.getByRole('button', { name, exact: true }));
  }

  /** Presses what leads to another page, or to the same anew. */
  async submit(target, within = this.page) {
    const isName = typeof target === 'string' || target instanceof RegExp;
    const place = isName ? within.getByRole('button', { name: target, exact: true }) : target;
    await Promise.all([this.page.waitForEvent('domcontentloaded'), this.site.input.press(place)]);
    await this.page.waitForLoadState();
  }

  follow(name, within = this.page) {
    return this.submit(within.getByRole('link', { name, exact: true }));
  }

  /** Browsers move the focus to what asks for it with a frame of its own, after the page is there. */
  async hasFocus(label) {
    const deadline = Date.now() + PATIENCE;
    while (!await isFocused(this.field(label))) {
      if (Date.now() > deadline) return false;
      await this.page.waitForTimeout(50);
    }
    return true;
  }

  /** What the browser says of a field that it doesn't send. */
  async invalid(label) {
    return this.field(label).evaluate(({ validity }) => {
      for (const name in validity) if (name !== 'valid' && validity[name]) return name;
      return undefined;
    });
  }

  /** Takes the browser's own checks away, to see what the server says. */
  unguard() {
    return this.page.evaluate(() => document.querySelectorAll('form').forEach((form) => { form.noValidate = true; }));
  }

  /** The session's cookie as a header, or nothing. */
  async cookie() {
    const cookies = await this.page.context().cookies(this.site.base);
    const session = cookies.find(({ name }) => name === 'vestibule');
    return session && `vestibule=${session.value}`;
  }

  /** Who is signed in, as programs are told. */
  async session() {
    const answer = await fetch(new URL('/sso/session', this.site.base), { headers: { cookie: await this.cookie() ?? '' } });
    return { status: answer.status, ...await answer.json() };
  }

  /** Looks at the page as it is now, in light and in dark, unless it was looked at before. */
  async inspect(name) {
    const { site, page } = this;
    if (site.seen.views.some((view) => view.name === name)) return;
    mkdirSync(site.artifacts, { recursive: true });
    for (const scheme of SCHEMES) {
      // A color in a transition has its own contrast.
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      const shot = `${name}-${scheme}`;
      await page.screenshot({ path: join(site.artifacts, `${shot}.png`), fullPage: true });
      const view = { name, scheme, shot, overflow: await overflow(page), violations: await this.judge(scheme) };
      if (site.input === keyboard) view.order = await orderMistakes(page);
      site.seen.views.push(view);
    }
    await page.emulateMedia({ colorScheme: SCHEMES[0], reducedMotion: 'reduce' });
  }

  async judge(scheme) {
    const { mirror: window } = this.site;
    if (!window) return violations(this.page);
    await window.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    if (scheme === SCHEMES[0]) await mirror(this.page, window);
    return violations(window);
  }
}

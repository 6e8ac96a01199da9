// What is the same for everybody in one run: where Vestibule is, how pages are worked, and what the check says.

import { keyboard, mouse, touch } from '../input.mjs';
import { Visitor } from '../visitor.mjs';

const MODES = {
  mouse: { input: mouse, look: {} },
  'no-script': { input: mouse, look: { javaScriptEnabled: false } },
  phone: { input: touch, look: { viewport: { width: 360, height: 740 }, hasTouch: true } },
  keyboard: { input: keyboard, look: {} },
};

/** Runs the story in a browser that is worked as the mode says. */
export function begin(mode, places, run, story) {
  const { input, look } = MODES[mode];
  const hasScripts = look.javaScriptEnabled !== false;
  return run(places.artifacts, look, async ({ seen, another }) => {
    seen.views = [];
    const site = {
      ...places,
      input,
      seen,
      hasScripts,
      mirror: hasScripts ? undefined : await another({ javaScriptEnabled: true }),
      async somebody() {
        const page = await another();
        await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: places.base });
        return new Visitor(page, site);
      },
      checkOf: (path, headers) => ask(places, path, headers),
    };
    await story(site);
  });
}

/** What the check says of a request, as nginx would ask it. */
async function ask({ base, check }, path, headers) {
  const asked = { ...headers, 'x-original-url': `${base}${path}`, 'x-original-method': 'GET' };
  const answer = await fetch(`${check}/auth/nginx`, { headers: asked });
  const told = (name) => answer.headers.get(`x-auth-request-${name}`);
  return { status: answer.status, user: told('user'), email: told('email'), role: told('role'), teams: told('groups') };
}

export const bearer = (key) => ({ authorization: `Bearer ${key}` });

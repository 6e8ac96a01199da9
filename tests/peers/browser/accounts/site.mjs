// The context that all visitors of one run share: addresses, the input device, and auth requests.

import { keyboard, mouse, touch } from '../input.mjs';
import { Visitor } from '../visitor.mjs';

const MODES = {
  mouse: { input: mouse, look: {} },
  'no-script': { input: mouse, look: { javaScriptEnabled: false } },
  phone: { input: touch, look: { viewport: { width: 360, height: 740 }, hasTouch: true } },
  keyboard: { input: keyboard, look: {} },
};

/** Runs the scenario in a browser with the mode's input device. */
export function runScenario(mode, addresses, run, scenario) {
  const { input, look } = MODES[mode];
  const hasScripts = look.javaScriptEnabled !== false;
  return run(addresses.artifacts, look, async ({ report, newPage }) => {
    report.views = [];
    const site = {
      ...addresses,
      input,
      report,
      hasScripts,
      mirror: hasScripts ? undefined : await newPage({ javaScriptEnabled: true }),
      async newVisitor() {
        const page = await newPage();
        await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: addresses.base });
        return new Visitor(page, site);
      },
      authRequest: (path, headers) => sendAuthRequest(addresses, path, headers),
    };
    await scenario(site);
  });
}

/** Sends an auth request like nginx, and returns the status and identity headers. */
async function sendAuthRequest({ base, check }, path, headers) {
  const requestHeaders = {
    ...headers,
    'x-original-url': `${base}${path}`,
    'x-original-method': 'GET',
    'x-vestibule-gateway-secret': process.env.GATEWAY_SECRET,
  };
  const response = await fetch(`${check}/auth/nginx`, { headers: requestHeaders });
  const header = (name) => response.headers.get(`x-auth-request-${name}`);
  return { status: response.status, user: header('user'), email: header('email'), role: header('role'), teams: header('groups') };
}

export const bearer = (key) => ({ authorization: `Bearer ${key}` });

// The sign-in form: username and password, or cancel. Works without JavaScript.

import { renderSignIn } from './pages.mjs';

async function form(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return new URLSearchParams(text);
}

function find(world, username, password) {
  const accounts = [...world.accounts.values()];
  return accounts.find((account) => account.username === username && account.password === password);
}

function show(res, page) {
  res.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
  }).end(page);
}

const finish = (world, req, res, result) => world.provider
  .interactionFinished(req, res, result, { mergeWithLastSubmission: false });

export async function handleInteraction(world, req, res) {
  let details;
  try {
    details = await world.provider.interactionDetails(req, res);
  } catch {
    res.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in has expired. Go back to the application and start again.');
    return undefined;
  }
  const auto = world.settings.autoLogin && (details.params.login_hint ?? world.settings.autoLogin);
  if (auto) return finish(world, req, res, { login: { accountId: auto } });
  if (req.method !== 'POST') return show(res, renderSignIn(world, details, {}));

  const fields = await form(req);
  if (fields.get('action') === 'cancel') {
    return finish(world, req, res, { error: 'access_denied', error_description: 'The person pressed <Cancel>.' });
  }
  const account = find(world, fields.get('username'), fields.get('password'));
  if (!account) return show(res, renderSignIn(world, details, { failed: fields.get('username') ?? '' }));
  return finish(world, req, res, { login: { accountId: account.sub } });
}

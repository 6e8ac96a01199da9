// The sign-in form: username and password, or cancel. Works without JavaScript.

import { renderSignIn } from './pages.mjs';

async function form(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return new URLSearchParams(text);
}

function find(state, username, password) {
  const accounts = [...state.accounts.values()];
  return accounts.find((account) => account.username === username && account.password === password);
}

function show(res, page) {
  res.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
  }).end(page);
}

const finish = (state, req, res, result) => state.provider
  .interactionFinished(req, res, result, { mergeWithLastSubmission: false });

export async function handleInteraction(state, req, res) {
  let details;
  try {
    details = await state.provider.interactionDetails(req, res);
  } catch {
    res.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in has expired. Go back to the application and start again.');
    return undefined;
  }
  const auto = state.settings.autoLogin && (details.params.login_hint ?? state.settings.autoLogin);
  if (auto) return finish(state, req, res, { login: { accountId: auto } });
  if (req.method !== 'POST') return show(res, renderSignIn(state, details, {}));

  const fields = await form(req);
  if (fields.get('action') === 'cancel') {
    return finish(state, req, res, { error: 'access_denied', error_description: 'The user pressed <Cancel>.' });
  }
  const account = find(state, fields.get('username'), fields.get('password'));
  if (!account) return show(res, renderSignIn(state, details, { failed: fields.get('username') ?? '' }));
  return finish(state, req, res, { login: { accountId: account.sub } });
}

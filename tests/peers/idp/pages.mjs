// The provider's pages. They look different from Vestibule's pages, so that users of the demo can tell
// them apart.

const STYLE = `
  :root { color-scheme: light dark; --ink: #1c1b22; --paper: #f4f1ea; --card: #fffdf8; --line: #d9d3c5; --accent: #0b6e4f; --quiet: #6a6558; --bad: #a4262c; }
  @media (prefers-color-scheme: dark) { :root { --ink: #eceae4; --paper: #16150f; --card: #211f18; --line: #3b382d; --accent: #4fc49a; --quiet: #a39d8c; --bad: #ff9a94; } }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 ui-serif, Georgia, serif; }
  main { width: 100%; max-width: 24rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 2rem; }
  .org { font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--accent); margin: 0; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: .25rem 0 1rem; }
  p { margin: 0 0 1rem; }
  .quiet { color: var(--quiet); font-size: .9rem; }
  .bad { color: var(--bad); }
  label { display: block; margin-top: 1rem; font-size: .9rem; }
  input { width: 100%; margin-top: .25rem; padding: .6rem .7rem; font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .3rem; }
  button { width: 100%; margin-top: 1.25rem; padding: .65rem; font: inherit; cursor: pointer; border-radius: .3rem; border: 1px solid var(--accent); background: var(--accent); color: var(--card); }
  button.plain { margin-top: .5rem; background: transparent; color: var(--ink); border-color: var(--line); }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text ?? '').replace(/[&<>"']/g, (char) => ESCAPES[char]);

function page(title, body) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>${escape(title)} · Example Corp</title><style>${STYLE}</style></head>
<body><main><p class="org">Example Corp identity</p><h1>${escape(title)}</h1>${body}</main></body></html>`;
}

export function renderSignIn(state, details, { failed }) {
  const { client_id: client, login_hint: hint } = details.params;
  const action = `${state.base}/interaction/${details.uid}`;
  const problem = failed === undefined ? '' : '<p class="bad" role="alert" id="problem">Wrong username or password.</p>';
  return page('Sign in', `
    <p class="quiet">to continue to <strong>${escape(client)}</strong></p>${problem}
    <form method="post" action="${escape(action)}">
      <label for="username">Username</label>
      <input id="username" name="username" autocomplete="username" autocapitalize="none" required autofocus value="${escape(failed ?? hint)}">
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required>
      <button name="action" value="login">Sign in</button>
      <button name="action" value="cancel" class="plain" formnovalidate>Cancel</button>
    </form>`);
}

export function renderLogout(ctx, form) {
  // The provider's form has no button. The button refers to the form's id.
  ctx.body = page('Sign out of Example Corp?', `
    <p>You are still signed in here. Sign out, or other applications stay open.</p>${form}
    <button form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button>
    <button form="op.logoutForm" class="plain">Stay signed in</button>`);
}

export function renderSignedOut(ctx) {
  ctx.body = page('You are signed out', '<p class="quiet">You may close this window.</p>');
}

export function renderFailure(ctx, out) {
  ctx.type = 'html';
  ctx.body = page('Error', `
    <p><code>${escape(out.error)}</code></p><p class="quiet">${escape(out.error_description)}</p>`);
}

// GET /user in GitHub's format: the user of an access token, as plain JSON without OpenID Connect.
// The response is the account's `user`; `null` means a revoked token.

function respond(ctx, status, body) {
  ctx.status = status;
  ctx.type = 'json';
  ctx.body = JSON.stringify(body);
}

export function userEndpoint(state, provider) {
  return async (ctx, next) => {
    if (ctx.path !== '/user') return next();
    state.stats.user(ctx);
    // GitHub rejects requests without a User-Agent.
    if (!ctx.get('user-agent')) return respond(ctx, 403, { message: 'Request forbidden: it has no User-Agent header.' });
    const [, value] = /^Bearer (.+)$/i.exec(ctx.get('authorization')) ?? [];
    const token = value && await provider.AccessToken.find(value);
    const user = token && state.accounts.get(token.accountId)?.user;
    if (!user) return respond(ctx, 401, { message: 'Bad credentials' });
    return respond(ctx, 200, user);
  };
}

/** GitHub rejects a code with status 200. Other providers have tokens that are not bearer tokens. */
export function adjustTokenResponses({ settings }) {
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token') return;
    if (settings.tokenErrors === 'as-success' && ctx.status >= 400) ctx.status = 200;
    if (settings.tokenType && ctx.body?.token_type) ctx.body.token_type = settings.tokenType;
  };
}

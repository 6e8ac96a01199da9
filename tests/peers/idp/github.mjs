// GET /user in GitHub's shape: who an access token belongs to, as a plain JSON object and no OpenID
// Connect. An account's `user` is what is answered; `null` stands for a token that was taken back.

function answer(ctx, status, body) {
  ctx.status = status;
  ctx.type = 'json';
  ctx.body = JSON.stringify(body);
}

export function userEndpoint(world, provider) {
  return async (ctx, next) => {
    if (ctx.path !== '/user') return next();
    world.stats.user(ctx);
    // GitHub's rule: who doesn't say what it is gets nothing.
    if (!ctx.get('user-agent')) return answer(ctx, 403, { message: 'Request forbidden: it has no User-Agent header.' });
    const [, value] = /^Bearer (.+)$/i.exec(ctx.get('authorization')) ?? [];
    const token = value && await provider.AccessToken.find(value);
    const user = token && world.accounts.get(token.accountId)?.user;
    if (!user) return answer(ctx, 401, { message: 'Bad credentials' });
    return answer(ctx, 200, user);
  };
}

/** GitHub refuses a code with the status of a success; others have tokens that aren't bearer tokens. */
export function tokenAnswers({ settings }) {
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token') return;
    if (settings.tokenErrors === 'as-success' && ctx.status >= 400) ctx.status = 200;
    if (settings.tokenType && ctx.body?.token_type) ctx.body.token_type = settings.tokenType;
  };
}

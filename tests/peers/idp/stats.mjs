// Counts requests to the provider, for tests.

const MAX_ENTRIES = 1000;

function append(list, value) {
  list.push(value);
  if (list.length > MAX_ENTRIES) list.shift();
}

export function createStats() {
  const empty = () => ({
    authorization: 0,
    token: 0,
    refreshes: 0,
    tokenErrors: [],
    userinfo: 0,
    user: 0,
    userAgents: [],
    jwks: 0,
    discovery: 0,
    endSession: 0,
    endSessionParams: [],
    codeChallengeMethods: [],
    codeChallengeLengths: [],
    codeVerifierLengths: [],
    codeVerifiersOutsideAlphabet: 0,
    statesAndNoncesSeenTwice: 0,
    clientAuthentication: [],
    tokenAccept: [],
    scopes: [],
    nonces: 0,
  });
  let counts = empty();
  let seen = new Set();

  const once = (name, value) => {
    const entry = `${name}:${value}`;
    if (value && seen.has(entry)) counts.statesAndNoncesSeenTwice += 1;
    seen.add(entry);
  };

  const watchers = {
    authorization(ctx) {
      const params = ctx.oidc.params ?? {};
      counts.authorization += 1;
      append(counts.codeChallengeMethods, params.code_challenge_method ?? null);
      append(counts.codeChallengeLengths, params.code_challenge?.length ?? 0);
      append(counts.scopes, params.scope ?? null);
      if (params.nonce) counts.nonces += 1;
      once('state', params.state);
      once('nonce', params.nonce);
    },
    token(ctx) {
      const verifier = ctx.oidc.params?.code_verifier;
      counts.token += 1;
      if (ctx.oidc.params?.grant_type === 'refresh_token') counts.refreshes += 1;
      append(counts.codeVerifierLengths, verifier?.length ?? 0);
      if (verifier && !/^[A-Za-z0-9\-._~]+$/.test(verifier)) counts.codeVerifiersOutsideAlphabet += 1;
      append(counts.tokenAccept, ctx.headers.accept ?? null);
      append(counts.clientAuthentication, ctx.headers.authorization ? 'basic' : 'body');
      if (ctx.status >= 400) append(counts.tokenErrors, ctx.body?.error ?? String(ctx.status));
    },
    userinfo: () => { counts.userinfo += 1; },
    jwks: () => { counts.jwks += 1; },
    discovery: () => { counts.discovery += 1; },
    end_session(ctx) {
      counts.endSession += 1;
      append(counts.endSessionParams, Object.keys(ctx.query).sort());
    },
  };

  return {
    read: () => counts,
    reset() {
      counts = empty();
      seen = new Set();
    },
    user(ctx) {
      counts.user += 1;
      append(counts.userAgents, ctx.get('user-agent'));
    },
    /** A koa middleware in front of the provider's own. */
    async watch(ctx, next) {
      await next();
      watchers[ctx.oidc?.route]?.(ctx);
    },
  };
}

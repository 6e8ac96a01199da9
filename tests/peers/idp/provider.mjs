// The oidc-provider instance, configured like a Keycloak realm: PKCE required, `iss` in the callback,
// roles only in the access token, `sid` in the id_token, no consent page.

import { createHash, randomBytes } from 'node:crypto';

import { createLocalJWKSet, jwtVerify } from 'jose';
import Provider from 'oidc-provider';

import { adjustTokenResponses, userEndpoint } from './github.mjs';
import { renderFailure, renderLogout, renderSignedOut } from './pages.mjs';
import { claimsByScope } from './settings.mjs';

const RESOURCE = 'urn:vestibule:test:api';
const COOKIE_KEY = randomBytes(32).toString('hex');
const MAX_ISSUED_JWTS = 10_000;

function accountOf(state, id) {
  const account = state.accounts.get(id);
  if (!account) return undefined;
  return { accountId: id, claims: async () => ({ sub: id, ...account.claims }) };
}

/** Grants all requested scopes without a consent page. */
async function grantAllScopes(ctx) {
  const { client, session, provider, params } = ctx.oidc;
  const id = ctx.oidc.result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const grant = (id && await provider.Grant.find(id))
    || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(RESOURCE, params.scope);
  await grant.save();
  return grant;
}

/** With a resource, the access token is a JWT for that audience. Without, it is opaque. */
function resourceIndicators({ settings }) {
  return {
    enabled: settings.accessTokenFormat === 'jwt',
    defaultResource: () => RESOURCE,
    useGrantedResource: () => true,
    getResourceServerInfo: () => ({
      scope: 'openid profile email',
      audience: settings.accessTokenAudience,
      accessTokenFormat: 'jwt',
      accessTokenTTL: settings.ttl.AccessToken ?? 300,
      jwt: { sign: { alg: 'RS256' } },
    }),
  };
}

function configuration(state) {
  const { settings } = state;
  const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
  return {
    adapter: state.adapter,
    // By default the provider sends logout tokens to public addresses only.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    clients: settings.clients,
    jwks: state.keys.jwks(),
    claims: claimsByScope(settings),
    // The last scope is for clients without OpenID Connect, because this provider grants nothing without a scope.
    scopes: ['openid', 'profile', 'email', 'offline_access', 'read:user'],
    conformIdTokenClaims: settings.idTokenClaims !== 'all',
    cookies: { keys: [COOKIE_KEY] },
    issueRefreshToken: async (_ctx, client, code) => client.grantTypeAllowed('refresh_token')
      && (settings.refreshTokens === 'always' || code.scopes.has('offline_access')),
    // A rotated token that is used again ends the grant.
    rotateRefreshToken: settings.rotateRefreshTokens,
    enabledJWA: { idTokenSigningAlgValues: algorithms, userinfoSigningAlgValues: algorithms },
    pkce: { required: () => true },
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: (_ctx, accountId, { clientId }) => createHash('sha256').update(`${clientId} ${accountId}`).digest('hex'),
    ttl: {
      AccessToken: 300,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 300,
      Interaction: 600,
      Session: 86_400,
      ...settings.ttl,
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: resourceIndicators(state),
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: renderLogout,
        postLogoutSuccessSource: renderSignedOut,
      },
    },
    interactions: { url: (_ctx, interaction) => `${state.base}/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => accountOf(state, id),
    loadExistingGrant: grantAllScopes,
    extraTokenClaims: (_ctx, token) => ({
      azp: token.clientId,
      ...state.accounts.get(token.accountId)?.accessTokenClaims,
    }),
    renderError: renderFailure,
  };
}

/**
 * Userinfo for a JWT access token. oidc-provider rejects every token with an audience there, unlike
 * Keycloak. The JWT is exchanged for an opaque token of the same grant, which the provider's userinfo
 * endpoint accepts.
 */
function acceptJwtAtUserinfo(state, provider) {
  provider.on('access_token.issued', (token) => {
    state.issuedJwts.set(token.jti, { accountId: token.accountId, clientId: token.clientId, grantId: token.grantId, exp: token.exp });
    if (state.issuedJwts.size > MAX_ISSUED_JWTS) state.issuedJwts.delete(state.issuedJwts.keys().next().value);
  });
  return async (ctx, next) => {
    const [, jwt] = /^Bearer (.+\..+\..+)$/i.exec(ctx.get('authorization')) ?? [];
    if (jwt && ctx.path === '/me') {
      const opaque = await exchange(state, provider, jwt);
      if (opaque) ctx.req.headers.authorization = `Bearer ${opaque}`;
    }
    await next();
  };
}

async function exchange(state, provider, jwt) {
  const issued = await findIssuedJwt(state, jwt);
  if (!issued) return undefined;
  const { grantId, accountId, clientId } = issued;
  const grant = await provider.Grant.find(grantId);
  const client = await provider.Client.find(clientId);
  if (!grant || !client) return undefined;
  const token = new provider.AccessToken({ accountId, client, grantId, gty: 'authorization_code', scope: grant.getOIDCScope() });
  return token.save();
}

async function findIssuedJwt(state, jwt) {
  const keys = createLocalJWKSet({ keys: state.keys.jwks().keys.map(({ d, p, q, dp, dq, qi, ...open }) => open) });
  try {
    const { payload } = await jwtVerify(jwt, keys, { issuer: state.settings.issuer });
    return state.issuedJwts.get(payload.jti);
  } catch {
    return undefined;
  }
}

export function createProvider(state) {
  const provider = new Provider(state.settings.issuer, configuration(state));
  if (state.settings.sid === 'always') provider.Client.prototype.includeSid = () => true;
  provider.use(adjustTokenResponses(state));
  provider.use(state.stats.watch);
  provider.use(userEndpoint(state, provider));
  provider.use(acceptJwtAtUserinfo(state, provider));
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

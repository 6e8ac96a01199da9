// The oidc-provider instance, shaped like a Keycloak realm: PKCE required, `iss` in the callback,
// roles in the access token alone, `sid` in the id_token, consent given without asking.

import { randomBytes } from 'node:crypto';

import { createLocalJWKSet, jwtVerify } from 'jose';
import Provider from 'oidc-provider';

import { tokenAnswers, userEndpoint } from './github.mjs';
import { renderFailure, renderLogout, renderSignedOut } from './pages.mjs';
import { claimsByScope } from './settings.mjs';

const RESOURCE = 'urn:vestibule:test:api';
const COOKIE_KEY = randomBytes(32).toString('hex');
const JWTS_KEPT = 10_000;

function accountOf(world, id) {
  const account = world.accounts.get(id);
  if (!account) return undefined;
  return { accountId: id, claims: async () => ({ sub: id, ...account.claims }) };
}

/** Grants whatever the client asks for, so that no consent page stands in the way. */
async function grantWithoutAsking(ctx) {
  const { client, session, provider, params } = ctx.oidc;
  const id = ctx.oidc.result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const grant = (id && await provider.Grant.find(id))
    || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(RESOURCE, params.scope);
  await grant.save();
  return grant;
}

/** With a resource the access token is a JWT for that audience; without, it is opaque. */
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

function configuration(world) {
  const { settings } = world;
  const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
  return {
    adapter: world.adapter,
    clients: settings.clients,
    jwks: world.keys.jwks(),
    claims: claimsByScope(settings),
    // The last is for clients without OpenID Connect: this provider grants nothing to who asks for nothing.
    scopes: ['openid', 'profile', 'email', 'read:user'],
    conformIdTokenClaims: settings.idTokenClaims !== 'all',
    cookies: { keys: [COOKIE_KEY] },
    enabledJWA: { idTokenSigningAlgValues: algorithms, userinfoSigningAlgValues: algorithms },
    pkce: { required: () => true },
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
      resourceIndicators: resourceIndicators(world),
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: renderLogout,
        postLogoutSuccessSource: renderSignedOut,
      },
    },
    interactions: { url: (_ctx, interaction) => `${world.base}/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => accountOf(world, id),
    loadExistingGrant: grantWithoutAsking,
    extraTokenClaims: (_ctx, token) => ({
      azp: token.clientId,
      ...world.accounts.get(token.accountId)?.accessTokenClaims,
    }),
    renderError: renderFailure,
  };
}

/**
 * Userinfo for a JWT access token. oidc-provider refuses every token that has an audience there;
 * Keycloak answers. The JWT is exchanged for an opaque token of the same grant, and the provider's
 * own userinfo does the rest.
 */
function acceptJwtAtUserinfo(world, provider) {
  provider.on('access_token.issued', (token) => {
    world.issuedJwts.set(token.jti, { accountId: token.accountId, clientId: token.clientId, grantId: token.grantId, exp: token.exp });
    if (world.issuedJwts.size > JWTS_KEPT) world.issuedJwts.delete(world.issuedJwts.keys().next().value);
  });
  return async (ctx, next) => {
    const [, jwt] = /^Bearer (.+\..+\..+)$/i.exec(ctx.get('authorization')) ?? [];
    if (jwt && ctx.path === '/me') {
      const opaque = await exchange(world, provider, jwt);
      if (opaque) ctx.req.headers.authorization = `Bearer ${opaque}`;
    }
    await next();
  };
}

async function exchange(world, provider, jwt) {
  const issued = await verified(world, jwt);
  if (!issued) return undefined;
  const { grantId, accountId, clientId } = issued;
  const grant = await provider.Grant.find(grantId);
  const client = await provider.Client.find(clientId);
  if (!grant || !client) return undefined;
  const token = new provider.AccessToken({ accountId, client, grantId, gty: 'authorization_code', scope: grant.getOIDCScope() });
  return token.save();
}

async function verified(world, jwt) {
  const keys = createLocalJWKSet({ keys: world.keys.jwks().keys.map(({ d, p, q, dp, dq, qi, ...open }) => open) });
  try {
    const { payload } = await jwtVerify(jwt, keys, { issuer: world.settings.issuer });
    return world.issuedJwts.get(payload.jti);
  } catch {
    return undefined;
  }
}

export function createProvider(world) {
  const provider = new Provider(world.settings.issuer, configuration(world));
  if (world.settings.sid === 'always') provider.Client.prototype.includeSid = () => true;
  provider.use(tokenAnswers(world));
  provider.use(world.stats.watch);
  provider.use(userEndpoint(world, provider));
  provider.use(acceptJwtAtUserinfo(world, provider));
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

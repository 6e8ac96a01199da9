// The provider's settings file: its fields and defaults.
//
// {
//   "host": "127.0.0.1",                        listen address
//   "port": 0,                                  0: a free port
//   "adminPort": 0,                             port for the tests, likewise
//   "tls": {"cert": file, "key": file},         https instead of http, except on the admin port
//   "issuer": "http://127.0.0.1:{port}/realms/x",  {port} is filled in; default has no path
//   "clients": [{"client_id": …}],              oidc-provider's client metadata
//   "accounts": [{"sub", "username", "password", "claims": {}, "accessTokenClaims": {}, "user": {}}],
//                                               `user` is the response of GET /user: idp/github.mjs
//   "accessTokenFormat": "jwt" | "opaque",
//   "accessTokenAudience": "litellm",
//   "ttl": {"AccessToken": 300, …},             seconds, oidc-provider's names
//   "tokenErrors": "as-error" | "as-success",   as-success: status 200, like GitHub
//   "tokenType": "mac",                         instead of Bearer
//   "idTokenClaims": "all" | "userinfo-only",   tokens with a scope's claims
//   "sid": "always" | "on-request",             Keycloak has it in every id_token
//   "refreshTokens": "always" | "on-request",   on-request: with the scope offline_access
//   "rotateRefreshTokens": true,
//   "autoLogin": "alice",                       skips the form, for load tests
//   "claimNames": ["department"]                additional claims that accounts may get later
// }

const DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  adminPort: 0,
  tls: undefined,
  issuer: undefined,
  clients: [],
  accounts: [],
  accessTokenFormat: 'jwt',
  accessTokenAudience: 'litellm',
  ttl: {},
  tokenErrors: 'as-error',
  tokenType: undefined,
  idTokenClaims: 'all',
  sid: 'always',
  refreshTokens: 'on-request',
  rotateRefreshTokens: true,
  autoLogin: undefined,
  claimNames: [],
};

const STANDARD_CLAIMS = {
  openid: ['sub'],
  profile: ['name', 'given_name', 'family_name', 'preferred_username', 'picture', 'locale', 'zoneinfo', 'updated_at'],
  email: ['email', 'email_verified'],
};
const USUAL_CUSTOM_CLAIMS = ['groups', 'roles', 'realm_access', 'resource_access', 'department', 'tenant', 'teams'];

export function readSettings(overrides) {
  const unknown = Object.keys(overrides).filter((key) => !(key in DEFAULTS));
  if (unknown.length) throw new Error(`unknown settings: ${unknown.join(', ')}`);
  const settings = { ...DEFAULTS, ...overrides };
  settings.accounts = settings.accounts.map((account) => ({
    username: account.sub,
    claims: {},
    accessTokenClaims: {},
    user: null,
    ...account,
  }));
  return settings;
}

/** Custom claims come with `openid`, as a Keycloak mapper would add them. */
export function claimsByScope(settings) {
  const standard = new Set(Object.values(STANDARD_CLAIMS).flat());
  const custom = [
    ...USUAL_CUSTOM_CLAIMS,
    ...settings.claimNames,
    ...settings.accounts.flatMap((account) => Object.keys(account.claims)),
  ].filter((name) => !standard.has(name));
  return { ...STANDARD_CLAIMS, openid: [...new Set(['sub', ...custom])] };
}

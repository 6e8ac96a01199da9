// The provider's signing keys: an RSA, a P-256 and an Ed25519 key, and their rotation.

import { randomUUID } from 'node:crypto';

import { exportJWK, generateKeyPair } from 'jose';

async function generateKeys() {
  const pairs = await Promise.all([
    generateKeyPair('RS256', { extractable: true, modulusLength: 2048 }),
    generateKeyPair('ES256', { extractable: true }),
    generateKeyPair('EdDSA', { extractable: true, crv: 'Ed25519' }),
  ]);
  const jwks = await Promise.all(pairs.map(({ privateKey }) => exportJWK(privateKey)));
  // No `alg`, so that the RSA key signs both RS256 and PS256.
  return jwks.map((jwk) => ({ ...jwk, use: 'sig', kid: randomUUID() }));
}

export async function createKeys() {
  let keys = await generateKeys();
  return {
    /** Newest first: the provider signs with the first suitable key. */
    jwks: () => ({ keys }),
    async rotate(old) {
      keys = [...(await generateKeys()), ...(old === 'drop' ? [] : keys)];
    },
  };
}

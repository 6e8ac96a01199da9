// The provider's storage: a map with expiry. It must outlive the provider instance, which
// a key rotation replaces, and the bundled storage keeps only 1000 entries.

const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest']);
const SWEEP_EVERY = 5000;

export function createAdapter() {
  const records = new Map();
  const byUid = new Map();
  const byGrant = new Map();
  let writes = 0;

  const forget = (key) => {
    const record = records.get(key);
    records.delete(key);
    if (record?.payload.uid) byUid.delete(record.payload.uid);
  };
  const sweep = () => {
    const now = Date.now();
    for (const [key, record] of records) if (record.until <= now) forget(key);
    for (const [grant, keys] of byGrant) {
      for (const key of keys) if (!records.has(key)) keys.delete(key);
      if (!keys.size) byGrant.delete(grant);
    }
  };

  return class Adapter {
    /** Ends the sessions of an account that was deleted. */
    static endSessions(accountId) {
      for (const [key, record] of records) {
        if (key.startsWith('Session:') && record.payload.accountId === accountId) forget(key);
      }
    }

    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `${this.model}:${id}`;
    }

    read(key) {
      const record = records.get(key);
      if (record && record.until <= Date.now()) {
        forget(key);
        return undefined;
      }
      return record?.payload;
    }

    async upsert(id, payload, expiresIn) {
      const key = this.key(id);
      const until = expiresIn ? Date.now() + expiresIn * 1000 : Infinity;
      records.set(key, { payload, until });
      if (this.model === 'Session') byUid.set(payload.uid, key);
      if (payload.grantId && GRANTABLE.has(this.model)) {
        if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
        byGrant.get(payload.grantId).add(key);
      }
      writes += 1;
      if (writes % SWEEP_EVERY === 0) sweep();
    }

    async find(id) {
      return this.read(this.key(id));
    }

    async findByUid(uid) {
      return this.read(byUid.get(uid));
    }

    async findByUserCode() {
      return undefined;
    }

    async consume(id) {
      const payload = this.read(this.key(id));
      if (payload) payload.consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
      forget(this.key(id));
    }

    async revokeByGrantId(grantId) {
      for (const key of byGrant.get(grantId) ?? []) forget(key);
      byGrant.delete(grantId);
    }
  };
}

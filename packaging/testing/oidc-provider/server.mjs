// A certified authorization server (npm oidc-provider) for groat's tests: nobody who wrote groat wrote its rules.
//
// It listens on a free loopback port, prints "READY <issuer>" when it answers, keeps everything in memory, and ends when
// its standard input does, so that it cannot outlive the test that started it. With TLS_DIR in the environment, a directory
// with ca.pem, server.pem and server.key, it speaks https, looks at the certificates of clients, and wants authorization
// requests pushed (RFC 9126).
//
// Its clients are called after how they authenticate (RFC 7591 §2) and share one secret, new at each run:
// client_secret_basic, client_secret_post, client_secret_jwt (HS256), HS512 (the same), none, and with https
// tls_client_auth. Everybody may sign in, by name.
//
//   GET  /test/config    {clients, secret, accessTTL, format, deviceTTL, deviceInterval, blocked, faults}
//   POST /test/config    changes accessTTL (seconds), format ("jwt" or "opaque"), deviceTTL, deviceInterval (0: none, as the
//                        library has it), blocked (nobody's session goes on) or faults
//   POST /test/client    {id, alg, key}: a client that authenticates by private_key_jwt, with its public key, PEM; its ID
//                        tokens are signed by the same alg, those of client_secret_jwt and HS512 with the client's secret
//   GET  /test/sessions  the refresh tokens that could be used now: {client, refresh_token}
//   GET  /test/log       what was asked of the server, oldest first, without any credential
//
// A fault is {path, count, status, headers, body, delay, drop}: the next `count` requests for `path` get that answer, after
// `delay` milliseconds, or with `drop` a closed connection and no answer.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { Provider } from 'oidc-provider';
import { devicePages, person } from './person.mjs';

const tls = process.env.TLS_DIR;
const api = 'https://api.example.test/';
const symmetric = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt'];
const config = {
  clients: [...symmetric, 'HS512', 'none', ...(tls ? ['tls_client_auth'] : [])],
  // Reserved characters in the middle: RFC 6749 §2.3.1 has them form-encoded inside Basic, which many clients forget.
  // More than 64 bytes, which is what HS512 assertions need (RFC 7518 §3.2).
  secret: `${crypto.randomBytes(16).toString('hex')}:+/%&= ${crypto.randomBytes(16).toString('hex')}`,
  accessTTL: 900,
  format: 'jwt',
  deviceTTL: 600,
  deviceInterval: 0,
  blocked: false,
  faults: [],
};
const log = [];
const maxLog = 10000;
const maxBody = 64 * 1024;

// Adapter keeps what the provider stores. The provider's own in-memory store evicts beyond 1000 entries, and would then
// forget used assertions.
class Adapter {
  static entries = new Map();
  static of(model) { return [...Adapter.entries].filter(([key]) => key.startsWith(`${model} `)).map(([, payload]) => payload); }
  constructor(model) { this.model = model; }
  async upsert(id, payload) { Adapter.entries.set(`${this.model} ${id}`, payload); }
  async find(id) { return Adapter.entries.get(`${this.model} ${id}`); }
  async findByUid(uid) { return Adapter.of(this.model).find((p) => p.uid === uid); }
  async findByUserCode(code) { return Adapter.of(this.model).find((p) => p.userCode === code); }
  async consume(id) { (await this.find(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { Adapter.entries.delete(`${this.model} ${id}`); }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of Adapter.entries) {
      if (payload.grantId === grantId) Adapter.entries.delete(key);
    }
  }
}

// client is one client: of a person's, and where it has something to authenticate with, of its own.
function client(id, method, more = {}) {
  const persons = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'];
  return {
    client_id: id,
    ...(method.startsWith('client_secret') && { client_secret: config.secret }),
    token_endpoint_auth_method: method,
    application_type: 'native',
    grant_types: method === 'none' ? persons : [...persons, 'client_credentials'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'], // with any port (RFC 8252 §7.3)
    scope: 'openid offline_access email api:read api:write',
    ...more,
  };
}

function clients() {
  return [
    ...symmetric.map((method) => client(method, method, {
      ...(method === 'client_secret_jwt' && { token_endpoint_auth_signing_alg: 'HS256', id_token_signed_response_alg: 'HS256' }),
    })),
    client('HS512', 'client_secret_jwt', { token_endpoint_auth_signing_alg: 'HS512', id_token_signed_response_alg: 'HS512' }),
    client('none', 'none'),
    ...(tls ? [client('tls_client_auth', 'tls_client_auth', { tls_client_auth_subject_dn: 'CN=tls_client_auth' })] : []),
  ];
}

// mutualTLS is RFC 8705 §2.1.
const mutualTLS = {
  enabled: Boolean(tls),
  tlsClientAuth: true,
  getCertificate: (ctx) => {
    const { raw } = ctx.socket.getPeerCertificate();
    return raw && new crypto.X509Certificate(raw).toString();
  },
  certificateAuthorized: (ctx) => ctx.socket.authorized,
  certificateSubjectMatches: (ctx, property, expected) => `CN=${ctx.socket.getPeerCertificate().subject.CN}` === expected,
};

// settings is the provider's configuration.
function settings() {
  const keys = [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }], ['ed25519', {}]]
    .map(([kind, how], n) => ({ ...crypto.generateKeyPairSync(kind, how).privateKey.export({ format: 'jwk' }), kid: `test-${n}`, use: 'sig' }));
  const signing = ['HS256', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA'];
  return {
    adapter: Adapter,
    clients: clients(),
    clientAuthMethods: [...symmetric, 'private_key_jwt', 'none', ...(tls ? ['tls_client_auth'] : [])],
    enabledJWA: { clientAuthSigningAlgValues: signing, idTokenSigningAlgValues: signing },
    jwks: { keys },
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    scopes: ['openid', 'offline_access', 'email', 'api:read', 'api:write', 'api:admin'], // the last is no client's
    claims: { openid: ['sub'], email: ['email'] },
    pkce: { required: () => true },
    rotateRefreshToken: true, // and the use of an old one ends the session
    expiresWithSession: () => false,
    ttl: {
      AccessToken: () => config.accessTTL, ClientCredentials: () => config.accessTTL, DeviceCode: () => config.deviceTTL,
      RefreshToken: 86400, IdToken: 3600, AuthorizationCode: 60, Grant: 86400, Interaction: 3600, Session: 86400,
    },
    findAccount: (ctx, id) => (config.blocked ? undefined : {
      accountId: id, claims: () => ({ sub: id, email: `${id}@example.test` }),
    }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (ctx, by, token) => token.clientId === by.clientId },
      userinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: Boolean(tls) },
      deviceFlow: { enabled: true, ...devicePages },
      mTLS: mutualTLS,
      resourceIndicators: {
        enabled: true,
        // Who asks for nothing but to know a person gets a token for userinfo, anybody else one for the API.
        defaultResource: (ctx) => (/^(?!.*api:).*openid/.test(ctx.oidc.params.scope) ? undefined : api),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'api:read api:write api:admin',
          audience: resource,
          accessTokenTTL: config.accessTTL,
          accessTokenFormat: config.format,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
  };
}

async function body(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    if ((size += part.length) > maxBody) throw new Error('the body is too big');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

// register adds a client with a key of its own.
async function register({ id, alg, key }) {
  const jwk = { ...crypto.createPublicKey(key).export({ format: 'jwk' }), use: 'sig', alg };
  await new Adapter('Client').upsert(id, client(id, 'private_key_jwt', { token_endpoint_auth_signing_alg: alg, id_token_signed_response_alg: alg, jwks: { keys: [jwk] } }));
}

// control answers the paths that only tests know.
async function control(ctx, next) {
  const sent = ctx.path.startsWith('/test/') && ctx.method === 'POST' ? JSON.parse(await body(ctx.req)) : undefined;
  if (ctx.path === '/test/config') {
    ctx.body = Object.assign(config, sent);
  } else if (ctx.path === '/test/client' && sent) {
    await register(sent);
    ctx.body = {};
  } else if (ctx.path === '/test/sessions') {
    ctx.body = Adapter.of('RefreshToken').filter((t) => !t.consumed).map((t) => ({ client: t.clientId, refresh_token: t.jti }));
  } else if (ctx.path === '/test/log') {
    ctx.body = log;
  } else {
    await next();
  }
}

// digest is what the log keeps of a refresh token.
function digest(token) { return token ? crypto.createHash('sha256').update(token).digest('hex') : ''; }

// record writes down what was asked and how it ended.
async function record(ctx, next) {
  try {
    await next();
  } finally {
    if (log.length < maxLog) {
      const { params, client: by } = ctx.oidc ?? {};
      log.push({
        method: ctx.method, path: ctx.path, status: ctx.status, client: by?.clientId ?? '',
        authorization: ctx.get('authorization').split(' ')[0],
        grant_type: params?.grant_type ?? '', scope: params?.scope ?? '', resource: [params?.resource ?? []].flat(),
        refresh: digest(params?.refresh_token ?? (ctx.path === '/token/revocation' ? params?.token : '')),
      });
    }
  }
}

// misbehave plays the scripted faults.
async function misbehave(ctx, next) {
  const fault = config.faults.find((f) => f.path === ctx.path && f.count > 0);
  if (!fault) return next();
  fault.count -= 1;
  await body(ctx.req);
  if (fault.delay) await new Promise((done) => { setTimeout(done, fault.delay); });
  if (fault.drop) {
    ctx.respond = false;
    ctx.req.socket.destroy();
    return undefined;
  }
  ctx.status = fault.status ?? 503;
  ctx.set(fault.headers ?? {});
  ctx.body = fault.body ?? '';
  return undefined;
}

// hurry gives devices an interval to ask in, which the library leaves out (RFC 8628 §3.2: then it is 5 seconds).
async function hurry(ctx, next) {
  await next();
  if (ctx.body?.device_code && config.deviceInterval) ctx.body.interval = config.deviceInterval;
}

const file = (name) => fs.readFileSync(`${tls}/${name}`);
const server = tls
  ? https.createServer({ ca: file('ca.pem'), cert: file('server.pem'), key: file('server.key'), requestCert: true, rejectUnauthorized: false })
  : http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, settings());
  provider.on('server_error', (ctx, err) => console.error(ctx.method, ctx.path, err));
  for (const layer of [control, record, misbehave, hurry, person(provider, body)]) provider.use(layer);
  server.on('request', provider.callback());
  console.log(`READY ${issuer}`);
});
process.stdin.on('end', () => process.exit(0)).resume();

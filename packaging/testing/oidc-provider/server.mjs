// A certified authorization server (npm oidc-provider) for groat's tests: nobody who wrote groat wrote its rules.
//
// It listens on a free loopback port, prints "READY <issuer>" when it answers, keeps everything in memory, and ends when
// its standard input does, so that it cannot outlive the test that started it. Three clients of the client credentials
// grant, named after how they authenticate (RFC 7591 §2); one secret, new at each run.
//
//   GET  /test/config   {clients, secret, accessTTL, format, faults}
//   POST /test/config   changes accessTTL (seconds), format ("jwt" or "opaque") or faults
//   GET  /test/log      what was asked of the server, oldest first, without any credential
//
// A fault is {path, count, status, headers, body, delay, drop}: the next `count` requests for `path` get that answer, after
// `delay` milliseconds, or with `drop` a closed connection and no answer.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const clients = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt'];
const config = {
  clients,
  // Reserved characters in the middle: RFC 6749 §2.3.1 has them form-encoded inside Basic, which many clients forget.
  // 64 hexadecimal digits: HS256 assertions need 32 bytes or more (RFC 7518 §3.2).
  secret: `${crypto.randomBytes(16).toString('hex')}:+/%&= ${crypto.randomBytes(16).toString('hex')}`,
  accessTTL: 900,
  format: 'jwt',
  faults: [],
};
const log = [];
const maxLog = 10000;
const maxBody = 64 * 1024;

// Adapter keeps what the provider stores. The provider's own in-memory store evicts beyond 1000 entries, and would then
// forget used assertions.
class Adapter {
  static entries = new Map();
  constructor(model) { this.model = model; }
  async upsert(id, payload) { Adapter.entries.set(`${this.model} ${id}`, payload); }
  async find(id) { return Adapter.entries.get(`${this.model} ${id}`); }
  async consume(id) { (await this.find(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { Adapter.entries.delete(`${this.model} ${id}`); }
}

// settings is the provider's configuration.
function settings() {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    adapter: Adapter,
    clients: clients.map((method) => ({
      client_id: method,
      client_secret: config.secret,
      token_endpoint_auth_method: method,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      scope: 'api:read api:write',
      ...(method === 'client_secret_jwt' && { token_endpoint_auth_signing_alg: 'HS256' }),
    })),
    clientAuthMethods: clients,
    enabledJWA: { clientAuthSigningAlgValues: ['HS256'] },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }] },
    scopes: ['api:read', 'api:write', 'api:admin'], // the last is no client's
    ttl: { ClientCredentials: () => config.accessTTL },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://api.example.test/',
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

// control answers the paths that only tests know.
async function control(ctx, next) {
  if (ctx.path === '/test/config') {
    if (ctx.method === 'POST') Object.assign(config, JSON.parse(await body(ctx.req)));
    ctx.body = config;
  } else if (ctx.path === '/test/log') {
    ctx.body = log;
  } else {
    await next();
  }
}

// record writes down what was asked and how it ended.
async function record(ctx, next) {
  try {
    await next();
  } finally {
    if (log.length < maxLog) {
      const { params, client } = ctx.oidc ?? {};
      log.push({
        method: ctx.method, path: ctx.path, status: ctx.status, client: client?.clientId ?? '',
        authorization: ctx.get('authorization').split(' ')[0],
        grant_type: params?.grant_type ?? '', scope: params?.scope ?? '', resource: [params?.resource ?? []].flat(),
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

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, settings());
  provider.on('server_error', (ctx, err) => console.error(ctx.method, ctx.path, err));
  for (const layer of [control, record, misbehave]) provider.use(layer);
  server.on('request', provider.callback());
  console.log(`READY ${issuer}`);
});
process.stdin.on('end', () => process.exit(0)).resume();

// The pages that a person sees at the certified authorization server: sign in by name, allow or deny, connect a device.
// Their ids are those of the sandbox's pages, so that one browser can be driven through both: login, go, allow, deny.

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (content) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title>${content}</html>`;

const login = page(`<h1>Sign in</h1><form method="post">
<input id="login" name="login" autofocus> <button id="go">Sign in</button> <button id="deny" name="deny" value="yes">Cancel</button></form>`);

const consent = ({ client_id: client, scope }) => page(`<h1>Allow ${escape(client)}?</h1><p id="scope">${escape(scope)}</p><form method="post">
<button id="allow">Allow</button> <button id="deny" name="deny" value="yes">Deny</button></form>`);

// devicePages are those of RFC 8628's user_code; the library's own load fonts from elsewhere.
export const devicePages = {
  userCodeInputSource: async (ctx, form, out, err) => {
    ctx.body = page(`<h1>Connect a device</h1>${err ? `<p id="problem">${escape(err.message)}</p>` : ''}${form}
<button id="go" form="op.deviceInputForm">Continue</button>`);
  },
  userCodeConfirmSource: async (ctx, form, client, info, code) => {
    ctx.body = page(`<h1>Is this the code?</h1><p id="code">${escape(code)}</p>${form}<button id="go" form="op.deviceConfirmForm">Continue</button>`);
  },
  successSource: async (ctx) => { ctx.body = page('<p id="message">The device is connected</p>'); },
};

// person returns the layer that asks a person, at the provider's own word whom and what about.
export function person(provider, body) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
    const form = ctx.method === 'POST' && new URLSearchParams(await body(ctx.req));
    const finish = (result) => {
      ctx.respond = false;
      return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: !result.error });
    };
    if (form && form.has('deny')) return finish({ error: 'access_denied', error_description: 'the person said no' });
    if (prompt.name === 'login') {
      if (form) return finish({ login: { accountId: form.get('login') } });
      ctx.body = login;
      return undefined;
    }
    if (form) return finish({ consent: { grantId: await allow(provider, prompt.details, params, session, grantId) } });
    ctx.body = consent(params);
    return undefined;
  };
}

// allow grants what is asked.
async function allow(provider, asked, params, session, grantId) {
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (asked.missingOIDCScope) grant.addOIDCScope(asked.missingOIDCScope.join(' '));
  if (asked.missingOIDCClaims) grant.addOIDCClaims(asked.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(asked.missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  return grant.save();
}

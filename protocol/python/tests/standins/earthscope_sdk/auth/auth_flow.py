import contextlib

import httpx

from earthscope_sdk.config.models import Tokens, ValidationError


class NoTokensError(Exception):
    pass


class NoRefreshTokenError(Exception):
    pass


class AuthFlow(httpx.Auth):
    def __init__(self, ctx):
        self._ctx, self._settings = ctx, ctx.settings.oauth2
        self._access_token_body = self._tokens = None
        self.refresh = ctx.syncify(self.async_refresh)
        self.refresh_if_necessary = ctx.syncify(self.async_refresh_if_necessary)
        self.revoke_refresh_token = ctx.syncify(self.async_revoke_refresh_token)
        with contextlib.suppress(ValidationError):
            self._validate_tokens(self._settings)

    @property
    def tokens(self):
        if self._tokens is None or self._tokens.access_token is None and self._tokens.refresh_token is None:
            raise NoTokensError("No tokens were found. Please re-authenticate.")
        return self._tokens

    @property
    def access_token(self):
        return self.tokens.access_token.get_secret_value()

    @property
    def access_token_body(self):
        if self._access_token_body is None:
            raise NoTokensError("No access token was found. Please re-authenticate.")
        return self._access_token_body

    @property
    def expires_at(self):
        return self.access_token_body.expires_at

    @property
    def ttl(self):
        return self.access_token_body.ttl

    @property
    def refresh_token(self):
        if self.tokens.refresh_token is None:
            raise NoRefreshTokenError("No refresh token was found. Please re-authenticate.")
        return self.tokens.refresh_token.get_secret_value()

    async def async_refresh(self, scope=None):
        request = self._ctx.httpx_client.build_request(
            "POST",
            f"{self._settings.domain}oauth/token",
            data={"grant_type": "refresh_token", "refresh_token": self.refresh_token, "scopes": scope or ""},
        )
        response = await self._ctx.httpx_client.send(request, auth=None)
        response.raise_for_status()
        self._validate_tokens(response.json())
        self._ctx.settings.write_tokens(self._tokens)
        return self

    async def async_refresh_if_necessary(self, scope=None, auto_refresh_threshold=60):
        with contextlib.suppress(NoTokensError):
            if self.ttl >= auto_refresh_threshold:
                return self
        return await self.async_refresh(scope=scope)

    async def async_revoke_refresh_token(self):
        await self._ctx.httpx_client.post(
            f"{self._settings.domain}oauth/revoke", auth=None, json={"token": self.refresh_token}
        )
        return self

    def _validate_tokens(self, values):
        tokens = Tokens.model_validate(values)
        self._access_token_body, self._tokens = tokens.access_token_body, tokens

    async def async_auth_flow(self, request):
        if request.headers.get("authorization") is None and self._settings.is_host_allowed(request.url.host):
            await self.async_refresh_if_necessary()
            request.headers["authorization"] = f"Bearer {self.access_token}"
        yield request

    def sync_auth_flow(self, request):
        if request.headers.get("authorization") is None and self._settings.is_host_allowed(request.url.host):
            self.refresh_if_necessary()
            request.headers["authorization"] = f"Bearer {self.access_token}"
        yield request

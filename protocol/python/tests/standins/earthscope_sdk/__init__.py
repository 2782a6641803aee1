"""Stands in for earthscope-sdk 1.9: the clients."""

from earthscope_sdk.common.context import SdkContext
from earthscope_sdk.config.settings import SdkSettings


class _User:
    def __init__(self, ctx):
        self.ctx = ctx

    async def _get_profile(self):
        response = await self.ctx.httpx_client.get(f"{self.ctx.settings.api_url}api/user/profile")
        response.raise_for_status()
        return response.json()

    def get_user_id(self):
        return self.ctx.auth_flow.access_token_body.subject


class _SyncUser(_User):
    def get_profile(self):
        return self.ctx.syncify(self._get_profile)()


class _AsyncUser(_User):
    async def get_profile(self):
        return await self._get_profile()


class _Client:
    def __init__(self, *, ctx=None, settings=None):
        self._created_ctx = ctx is None
        self.ctx = ctx or SdkContext(settings or SdkSettings())


class EarthScopeClient(_Client):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.user = _SyncUser(self.ctx)

    def close(self):
        if self._created_ctx:
            self.ctx.close()


class AsyncEarthScopeClient(_Client):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.user = _AsyncUser(self.ctx)

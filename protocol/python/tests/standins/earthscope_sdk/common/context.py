import asyncio
import functools


class SdkContext:
    @functools.cached_property
    def auth_flow(self):
        from earthscope_sdk.auth.auth_flow import AuthFlow

        return AuthFlow(ctx=self)

    @functools.cached_property
    def httpx_client(self):
        import httpx

        return httpx.AsyncClient(auth=self.auth_flow, timeout=5.0)

    def __init__(self, settings=None):
        from earthscope_sdk.config.settings import SdkSettings

        self.settings = settings or SdkSettings()
        self._loop = None

    def syncify(self, function):
        def call(*args, **kwargs):
            self._loop = self._loop or asyncio.new_event_loop()
            return self._loop.run_until_complete(function(*args, **kwargs))

        return call

    async def async_close(self):
        await self.httpx_client.aclose()

    def close(self):
        self.syncify(self.httpx_client.aclose)()
        self._loop.close()

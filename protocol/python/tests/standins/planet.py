"""Stands in for planet 3: a session takes anything that httpx can sign requests with, if it is an httpx.Auth."""

import httpx


class Session:
    def __init__(self, auth=None):
        if not isinstance(auth, httpx.Auth):
            raise TypeError("auth is no httpx.Auth")
        self._client = httpx.AsyncClient(auth=auth)
        self._client.headers.update({"X-Planet-App": "python-sdk"})

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self._client.aclose()

    async def request(self, method, url):
        response = await self._client.request(method, url)
        response.raise_for_status()
        return response

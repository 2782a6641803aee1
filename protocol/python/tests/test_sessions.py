"""Sessions and credentials of other packages, against a groatd with profiles; packaging/e2e starts both.

requests, httpx, authlib, google.auth, rasterio and fsspec are the real ones, of Debian. planet-auth, earthscope-sdk and
earthengine-api are stand-ins (standins/README.md).

A refused token is replaced once a minute, so each test that has one refused has a profile of its own.

GROAT_TEST_API is the address of the authorization server, which has an API below /api/ and answers at /sandbox/.
"""

import asyncio
import hashlib
import json
import os
import pickle
import sys
import unittest
import unittest.mock
import urllib.parse
import urllib.request
from typing import Any

import groat

API = os.environ["GROAT_TEST_API"]
STANDINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "standins")


def control(knob: str, **form: str) -> None:
    """Turns a knob of the authorization server."""
    data = urllib.parse.urlencode(form).encode()
    urllib.request.urlopen(f"{API}/sandbox/{knob}", data=data, timeout=30).close()


def asked(path: str = "") -> list[dict[str, Any]]:
    """The requests for a path that the server has had."""
    with urllib.request.urlopen(f"{API}/sandbox/log?path={path}", timeout=30) as answer:
        requests: list[dict[str, Any]] = json.load(answer)["requests"]
        return requests


class Sent(unittest.TestCase):
    """Has what the server was sent since the test began."""

    def setUp(self) -> None:
        self.before = len(asked())

    def sent(self) -> list[tuple[str, int, str]]:
        """Of each request: its path, the status of the answer, and a digest of the token."""
        return [(r["path"], r["status"], r.get("token", "")) for r in asked()[self.before :]]

    def carries_no_token(self, value: object, profile: str) -> Any:
        """What a worker has after pickling, which carries the profile's name and not its token."""
        pickled = pickle.dumps(value)
        self.assertNotIn(groat.token(profile).encode(), pickled)
        self.assertIn(profile.encode(), pickled)
        return pickle.loads(pickled)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def refused(profile: str) -> str:
    """Has the API refuse the profile's current token, and returns it."""
    token = groat.token(profile)
    control("revoke", token=token)
    return token


class Authlib(Sent):
    def test_each_request_has_the_token(self) -> None:
        with groat.session("authlib") as session:
            self.assertEqual(session.get(API + "/api/info").status_code, 200)
            self.assertEqual(session.post(API + "/api/info", json={"a": 1}).status_code, 200)
            self.assertEqual(session.get(API + "/api/info", withhold_token=True).status_code, 401)
        self.assertEqual([s[:2] for s in self.sent()], [("/api/info", 200), ("/api/info", 200), ("/api/info", 401)])
        self.assertEqual(self.sent()[2][2], "")

    def test_a_refused_token_is_replaced_once(self) -> None:
        token = refused("authlib")
        with groat.session("authlib") as session:
            self.assertEqual(session.get(API + "/api/info").status_code, 200)
            self.assertNotEqual(session.token["access_token"], token)
        api = [s for s in self.sent() if s[0] == "/api/info"]
        self.assertEqual([s[1] for s in api], [401, 200])
        self.assertEqual(api[0][2], digest(token))
        self.assertEqual(len([s for s in self.sent() if s[0] == "/token"]), 1)

    def test_authlib_itself_asks_no_server(self) -> None:
        from authlib.integrations.requests_client import OAuth2Session

        with groat.session("authlib", verify=False) as session:
            self.assertIsInstance(session, OAuth2Session)
            self.assertIs(session.verify, False)
            current = groat.token("authlib")
            for token in session.token, session.fetch_token(API + "/token"), session.refresh_token(API + "/token"):
                self.assertEqual((token["access_token"], token.get("refresh_token")), (current, None))
                self.assertFalse(token.is_expired())
            session.token = {"access_token": "other", "expires_at": 1}
            self.assertTrue(session.ensure_active_token(session.token))
            for forbidden in session.revoke_token, session.introspect_token:
                with self.assertRaises(groat.ConfigError) as caught:
                    forbidden(API + "/revoke")
                self.assertEqual(caught.exception.hint, "groat logout authlib")
            self.assertEqual(session.get(API + "/api/info").status_code, 200)
        self.assertEqual([s[0] for s in self.sent()], ["/api/info"])
        for name in "client_secret", "token", "token_endpoint":
            with self.assertRaisesRegex(groat.UsageError, "leave out " + name):
                groat.session("authlib", **{name: "dummy"})

    def test_a_pickled_session_is_the_profiles_name(self) -> None:
        with groat.session("authlib", max_redirects=3) as session:
            session.headers["User-Agent"] = "lab/1"
            session.headers.update(groat.header("authlib"))
            session.get(API + "/api/info")
            again = self.carries_no_token(session, "authlib")
        self.assertEqual((again.headers["User-Agent"], again.max_redirects), ("lab/1", 3))
        self.assertNotIn("Authorization", again.headers)
        with again:
            self.assertEqual(again.get(API + "/api/info").status_code, 200)

    def test_no_proxy_of_the_programs_own(self) -> None:
        proxy = {"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"}  # discard: a request for it would fail
        with groat.session("authlib") as session:
            with self.assertRaises(groat.Denied):
                session.get(API + "/api/info", proxies=proxy)
            session.proxies.update(proxy)
            with self.assertRaises(groat.Denied):
                session.get(API + "/api/info")
        with groat.session("authlib", proxies={"all": "http://127.0.0.1:9"}) as session:
            with self.assertRaises(groat.Denied):
                session.get(API + "/api/info")
        self.assertEqual(self.sent(), [])

    def test_async(self) -> None:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        token = refused("async")

        async def use() -> None:
            async with groat.async_session("async") as session:
                self.assertIsInstance(session, AsyncOAuth2Client)
                self.assertEqual((await session.get(API + "/api/info")).status_code, 200)
                without = await session.request("GET", API + "/api/info", withhold_token=True)
                self.assertEqual(without.status_code, 401)
                async with session.stream("GET", API + "/api/info") as answer:
                    self.assertEqual(answer.status_code, 200)
                self.assertEqual((await session.fetch_token(API + "/token"))["access_token"], groat.token("async"))
                again = self.carries_no_token(session, "async")
                self.assertEqual((await again.get(API + "/api/info")).status_code, 200)
                await again.aclose()

        asyncio.run(use())
        self.assertNotEqual(groat.token("async"), token)
        self.assertEqual([s[1] for s in self.sent() if s[0] == "/api/info"], [401, 200, 401, 200, 200])


class Spatiafi(Sent):
    """py-spatiafi's two functions, as its README and the notebooks call them."""

    def test_get_session(self) -> None:
        control("fault", path="/api/info", status="502", times="1")
        with groat.get_session() as session:  # that of the only profile of SpatiaFi
            response = session.get(API + "/api/info", params={"item_id": "demo"})
            self.assertEqual(response.json()["path"], "/api/info")
        self.assertEqual(self.sent()[-1][2], digest(groat.token("fi")))
        proxied = groat.get_session(profile="work", proxies={"https": "https://fake-proxy.example.com:443"})
        self.assertEqual(proxied.proxies, {"https": "https://fake-proxy.example.com:443"})

        async def use() -> int:
            session = self.carries_no_token(await groat.get_async_session(), "fi")
            code: int = (await session.get(API + "/api/info", params={"item_id": "demo"})).status_code
            await session.aclose()
            return code

        self.assertEqual(asyncio.run(use()), 200)

    def test_what_fails_fails_at_once(self) -> None:
        with self.assertRaises(groat.UnknownProfile):
            groat.get_session(profile="home")
        with self.assertRaises(groat.UsageError) as caught:
            groat.get_session({"client_id": "dummy", "client_secret": "dummy"})
        self.assertEqual(caught.exception.hint, "groat import --dry-run")


class Google(Sent):
    def test_authorized_session(self) -> None:
        from google.auth import credentials
        from google.auth.transport.requests import AuthorizedSession

        one = groat.google_credentials("google", quota_project="billed")
        self.assertIsInstance(one, credentials.Credentials)
        self.assertEqual((one.valid, one.quota_project_id), (False, "billed"))
        with AuthorizedSession(one) as session:
            self.assertEqual(session.get(API + "/api/info").status_code, 200)
            self.assertTrue(one.valid)
            token = refused("google")
            self.assertEqual(session.get(API + "/api/info").status_code, 200)
        api = [s for s in self.sent() if s[0] == "/api/info"]
        self.assertEqual([s[1] for s in api], [200, 401, 200])
        self.assertEqual(api[1][2], digest(token))
        again = self.carries_no_token(one, "google")
        headers: dict[str, str] = {}
        again.before_request(None, "GET", API + "/api/info", headers)
        self.assertEqual(headers["x-goog-user-project"], "billed")
        self.assertEqual(headers["authorization"], groat.header("google")["Authorization"])
        self.assertIsNone(one.with_quota_project(None).quota_project_id)

    def test_refresh_by_hand_costs_nothing(self) -> None:
        one = groat.google_credentials("google")
        for _ in range(3):
            one.refresh(None)
            headers: dict[str, str] = {}
            one.apply(headers)
            self.assertEqual(headers, {"authorization": groat.header("google")["Authorization"]})
            self.assertGreater(one.expiry.timestamp(), 0)
        self.assertEqual(self.sent(), [])

    def test_earth_engine(self) -> None:
        import ee

        self.addCleanup(ee.Reset)
        with self.assertRaises(ee.EEException):
            ee.Initialize(credentials=groat.google_credentials("ee"), url=API)
        ee.Initialize(credentials=groat.google_credentials("ee"), project="lab", url=API)
        refused("ee")
        with self.assertRaises(KeyError):  # the API's answer is no number
            ee.Number(1).add(1).getInfo()
        self.assertEqual([s[1] for s in self.sent() if s[0] == "/api/v1/projects/lab/value:compute"], [401, 200])
        ee.Initialize(credentials=groat.google_credentials("ee", quota_project="lab"), url=API)


class GDAL(Sent):
    def test_rasterio_and_variables(self) -> None:
        import rasterio

        with unittest.mock.patch.dict(sys.modules), unittest.mock.patch.dict(os.environ):
            sys.modules.pop("rasterio")
            with open(groat.gdal_env("work")["GDAL_CONFIG_FILE"], encoding="ascii") as f:  # for another process's GDAL
                self.assertIn(f"\npath=/vsicurl/{API}/\nGDAL_HTTP_HEADER_FILE=", f.read())
        quiet = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
        if tuple(int(n) for n in rasterio.__gdal_version__.split(".")[:2]) < (3, 10):
            with self.assertRaisesRegex(groat.ConfigError, "choosing servers takes GDAL 3.10") as caught:
                groat.gdal_env("work")
            self.assertEqual(caught.exception.hint, 'groat.gdal_env("work", every_host=True)')
        else:
            with groat.gdal_env("work"), rasterio.Env(**quiet), self.assertRaises(rasterio.errors.RasterioIOError):
                rasterio.open(f"/vsicurl/{API}/api/y.tif")
            seen = {s[1:] for s in self.sent() if s[0] == "/api/y.tif"}
            self.assertEqual(seen, {(200, digest(groat.token("work")))})
        with self.assertRaises(groat.ConfigError) as caught:
            groat.gdal_env("home", every_host=True)
        self.assertEqual(str(caught.exception), 'there is no profile "home"\nhint: groat list')
        variables = groat.gdal_env("work", every_host=True)
        self.assertEqual(list(variables), ["GDAL_HTTP_HEADER_FILE"])
        with open(variables["GDAL_HTTP_HEADER_FILE"], encoding="ascii") as f:
            self.assertEqual(f.read(), "Authorization: Bearer " + groat.token("work") + "\n")
        name = f"/vsicurl/{API}/api/x.tif"
        for count, env in enumerate((rasterio.Env(**variables, **quiet), variables), 1):
            with env, self.assertRaises(rasterio.errors.RasterioIOError):
                rasterio.open(f"{name}?{count}")  # the API's answer is no image
            seen = {s[1:] for s in self.sent() if s[0] == "/api/x.tif"}
            self.assertEqual(seen, {(200, digest(groat.token("work")))})
        with variables, variables:
            self.assertEqual(os.environ["GDAL_HTTP_HEADER_FILE"], variables["GDAL_HTTP_HEADER_FILE"])
        self.assertNotIn("GDAL_HTTP_HEADER_FILE", os.environ)


class Fsspec(Sent):
    def test_read(self) -> None:
        import fsspec

        options = self.carries_no_token(groat.storage_options("work"), "work")
        with fsspec.open(API + "/api/info", **options) as f:
            self.assertIn(b"/api/info", f.read())
        files = fsspec.filesystem("http", **groat.storage_options("work"))
        self.assertIn(b"/api/info", files.cat(API + "/api/info"))
        self.assertIs(files, fsspec.filesystem("http", **groat.storage_options("work")))
        made = {files}
        for other in ({"scope": "read"}, {"scope": "write"}, {"audience": "read"}):
            made.add(fsspec.filesystem("http", **groat.storage_options("work", **other)))
        self.assertEqual(len(made), 4)
        seen = {s[1:] for s in self.sent() if s[0] == "/api/info"}
        self.assertEqual(seen, {(200, digest(groat.token("work")))})


class Planet(Sent):
    def test_the_authenticator_signs_for_requests_and_httpx(self) -> None:
        import httpx
        import planet
        import planet_auth
        import requests

        context = groat.planet_auth("planet")
        self.assertIsInstance(context, planet_auth.Auth)
        self.assertTrue(context.request_authenticator_is_ready())
        context.login()
        one = context.request_authenticator()
        self.assertTrue(one.is_initialized())
        token = refused("planet")
        self.assertEqual(requests.get(API + "/api/mosaics", auth=one, timeout=30).status_code, 200)
        self.assertEqual(httpx.get(API + "/api/mosaics", auth=one).status_code, 200)

        async def use() -> None:
            async with planet.Session(auth=one) as session:
                self.assertEqual((await session.request("GET", API + "/api/mosaics")).status_code, 200)

        asyncio.run(use())
        self.assertEqual([s[1] for s in self.sent() if s[0] == "/api/mosaics"], [401, 200, 200, 200])
        again = self.carries_no_token(one, "planet")
        again.pre_request_hook()
        self.assertEqual(again._token_body, groat.token("planet"))
        self.assertEqual((again._auth_header, again._token_prefix), ("Authorization", "Bearer"))


class EarthScope(Sent):
    def forget_the_sdk(self) -> None:
        for name in [name for name in sys.modules if name.startswith("earthscope_sdk")]:
            del sys.modules[name]

    def test_clients(self) -> None:
        import earthscope_sdk
        from earthscope_sdk.config.settings import SdkSettings

        host = urllib.parse.urlsplit(API).hostname
        settings = SdkSettings(oauth2={"allowed_hosts": (host,), "refresh_token": "dummy-rt"}, api_url=API + "/")
        context = groat.earthscope("quake", settings=settings)
        refused("quake")
        client = earthscope_sdk.EarthScopeClient(ctx=context)
        self.assertEqual(client.user.get_profile()["path"], "/api/user/profile")
        self.assertEqual(context.auth_flow.access_token, groat.token("quake"))
        self.assertIs(context.auth_flow.refresh_if_necessary(), context.auth_flow)
        self.assertIs(context.auth_flow.refresh(), context.auth_flow)
        with self.assertRaisesRegex(groat.ConfigError, "only groat can end it"):
            context.auth_flow.revoke_refresh_token()
        context.close()
        self.assertEqual([s[1] for s in self.sent() if s[0] == "/api/user/profile"], [401, 200])
        self.assertEqual((settings.written, [s for s in self.sent() if "oauth" in s[0]]), ([], []))

        async def use() -> None:
            context = groat.earthscope("quake", settings=SdkSettings(api_url=API + "/"))
            client = earthscope_sdk.AsyncEarthScopeClient(ctx=context)
            with self.assertRaisesRegex(Exception, "401"):  # the SDK does not allow this host, so nothing is sent
                await client.user.get_profile()
            await context.async_close()

        asyncio.run(use())
        self.assertEqual(self.sent()[-1], ("/api/user/profile", 401, ""))

    def test_0_2(self) -> None:
        self.forget_the_sdk()
        self.addCleanup(self.forget_the_sdk)
        sys.path.insert(0, os.path.join(STANDINS, "earthscope_0_2"))
        try:
            flow = groat.earthscope("quake")
            self.assertEqual(flow.get_access_token_refresh_if_necessary(), groat.token("quake"))
            self.assertEqual(flow.access_token, groat.token("quake"))
            with self.assertRaises(groat.LoginRequired) as caught:
                flow.do_flow()
            self.assertEqual(caught.exception.hint, "groat login quake --provider earthscope")
        finally:
            sys.path.pop(0)


sys.path.append(STANDINS)

"""groat.auth with requests, httpx, aiohttp and urllib, each against an API of this file; packaging/e2e has the groatd.

The profiles work, p0, p1 … and key list API, which listens at GROAT_TEST_API; key has an API key, which is sent as
X-Key. No profile lists ELSEWHERE.
"""

import asyncio
import contextlib
import email.message
import http.server
import io
import itertools
import json
import os
import pickle
import socket
import tempfile
import threading
import unittest
import unittest.mock
import urllib.error
import urllib.parse
import urllib.request
import urllib.response
from typing import Any

import aiohttp
import groat
import httpx
import requests

PROFILES = (f"p{n}" for n in itertools.count())  # groatd replaces a token once a minute: a profile for each test


class Server(http.server.ThreadingHTTPServer):
    """Answers with what it was sent, or with what the path says."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.url = f"http://{host}:{self.server_address[1]}"
        self.seen: list[dict[str, Any]] = []
        self.refused: set[str] = set()

    def handle_error(self, *args: Any) -> None:
        """A client may end its connection."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        while self.headers.get("Transfer-Encoding") == "chunked" and (size := int(self.rfile.readline(), 16)) >= 0:
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                break
        credential = self.headers.get("Authorization") or self.headers.get("X-Key") or ""
        at = urllib.parse.urlsplit(self.path)
        seen = {"path": at.path, "credential": credential, "body": body.decode(), "mine": self.headers.get("X-Mine")}
        self.server.seen.append(seen)
        status, headers = 200, {}
        if at.path == "/hang-up":
            self.close_connection = True
            return
        if at.path == "/refuse-first" and not self.server.refused:
            self.server.refused.add(credential)
        if at.path == "/refuse-all" or credential in self.server.refused:
            status = 401
        if at.path == "/redirect":
            status, headers = 307, {"Location": urllib.parse.unquote(at.query)}
        answer = b"" if "quiet" in self.path else json.dumps(seen).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        pass


HOST, _, PORT = os.environ["GROAT_TEST_API"].rpartition("/")[2].partition(":")
API, ELSEWHERE = Server(HOST, int(PORT)), Server(HOST, 0)


def setUpModule() -> None:
    for server in (API, ELSEWHERE):
        threading.Thread(target=server.serve_forever, daemon=True).start()


def tearDownModule() -> None:
    for server in (API, ELSEWHERE):
        server.shutdown()
        server.server_close()


class Signing(groat.Auth):
    """A caller's own."""

    def __init__(self, profile: str, mine: int, *rest: str) -> None:
        super().__init__(profile, mine, *rest)
        self.mine = mine


def resolved(host: Any, *rest: Any, **more: Any) -> Any:
    """Has each name be this machine."""
    return getaddrinfo(HOST, *rest, **more)


getaddrinfo = socket.getaddrinfo


class Library:
    """What each library must do; fetch is one request by it, and returns the status and the text of the answer."""

    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        raise NotImplementedError

    def setUp(self) -> None:
        for server in (API, ELSEWHERE):
            server.seen.clear()
            server.refused.clear()
        self.use("work")

    def use(self, profile: str) -> str:
        """Has the test use a profile, and returns the header that it has now."""
        self.profile, self.auth = profile, groat.auth(profile)
        return self.bearer()

    def bearer(self) -> str:
        return groat.header(self.profile)["Authorization"]

    def test_carries_the_token(self: Any) -> None:
        status, text = self.fetch(API.url + "/x?y=z", self.auth)
        self.assertEqual((status, json.loads(text)["credential"]), (200, self.bearer()))

    def test_a_pickled_auth_is_the_same(self: Any) -> None:
        pickled = pickle.dumps(self.auth)
        self.assertNotIn(self.bearer().encode()[10:], pickled)
        again = pickle.loads(pickled)
        self.assertEqual(json.loads(self.fetch(API.url + "/", again)[1])["credential"], self.bearer())
        self.assertEqual(repr(again), "groat.auth('work')")
        again = pickle.loads(pickle.dumps(Signing("work", 1, "b", "c")))
        self.assertEqual((type(again), again.mine), (Signing, 1))
        self.assertEqual(repr(again), "groat.auth('work', min_ttl=1, scope='b', audience='c')")

    def test_once_more_after_401(self: Any) -> None:
        first = self.use(next(PROFILES))
        status, text = self.fetch(API.url + "/refuse-first", self.auth, b"body")
        self.assertEqual((status, [s["body"] for s in API.seen]), (200, ["body", "body"]))
        self.assertEqual([s["credential"] for s in API.seen], [first, self.bearer()])
        self.assertNotEqual(first, self.bearer())

    def test_a_second_401_is_the_answer(self: Any) -> None:
        self.use(next(PROFILES))
        status, text = self.fetch(API.url + "/refuse-all", self.auth)
        self.assertEqual((status, len(API.seen)), (401, 2))
        self.assertEqual(json.loads(text)["credential"], API.seen[1]["credential"])
        status, text = self.fetch(API.url + "/refuse-all", self.auth)  # it was replaced moments ago
        self.assertEqual((status, len(API.seen), json.loads(text)["path"]), (401, 3, "/refuse-all"))

    def test_a_body_that_is_gone_is_not_sent_again(self: Any) -> None:
        first = self.use(next(PROFILES))
        status, text = self.fetch(API.url + "/refuse-first", self.auth, self.stream())
        self.assertEqual((status, [s["body"] for s in API.seen]), (401, ["stream"]))
        self.assertNotEqual(first, self.bearer())  # groatd was told

    def stream(self) -> Any:
        return (part for part in (b"str", b"eam"))

    def hides(self: Any, *values: Any) -> None:
        token = groat.token(self.profile)
        for value in values:
            self.assertNotIn(token, repr(value))

    def test_no_token_elsewhere(self: Any) -> None:
        with self.assertRaises(groat.UnknownProfile) as caught:
            self.fetch(ELSEWHERE.url, self.auth)
        self.assertEqual(caught.exception.hint, f"groat login work --api {ELSEWHERE.url}")
        with self.assertRaises(groat.Denied) as denied:
            self.fetch("http://api.example.com/", self.auth)
        self.assertIn("http://api.example.com", str(denied.exception))
        self.assertEqual(ELSEWHERE.seen, [])

    def test_of_several_profiles_the_environments(self: Any) -> None:
        with self.assertRaises(groat.UnknownProfile) as caught:
            self.fetch(API.url, groat.auth())
        self.assertEqual(caught.exception.hint, "export GROAT_PROFILE=key")
        for profile, field in (("key", "dummy"), ("work", self.bearer())):
            with unittest.mock.patch.dict(os.environ, GROAT_PROFILE=profile):
                self.assertEqual(json.loads(self.fetch(API.url, groat.auth())[1])["credential"], field)
        with unittest.mock.patch.dict(os.environ, GROAT_PROFILE="nosuch"), self.assertRaises(groat.UnknownProfile):
            self.fetch(API.url, groat.auth())

    def test_a_redirect_within_the_api(self: Any) -> None:
        status, text = self.fetch(API.url + "/redirect?/there", self.auth)
        self.assertEqual((status, json.loads(text)["path"]), (200, "/there"))
        self.assertEqual([s["credential"] for s in API.seen], [self.bearer()] * 2)

    def test_a_redirect_to_elsewhere_has_no_token(self: Any) -> None:
        for auth in (self.auth, groat.auth("key")):
            status, text = self.fetch(f"{API.url}/redirect?{ELSEWHERE.url}/there", auth)
            self.assertEqual((status, json.loads(text)["credential"]), (200, ""))
        self.assertEqual(API.seen[1]["credential"], "dummy")

    def test_a_host_that_is_read_differently(self: Any) -> None:
        for mark in ("%2f", "%3f", "%23", "%40", "@", "%00"):
            url = f"http://{HOST}:{PORT}{mark}.example.com:{ELSEWHERE.server_address[1]}/"
            with self.subTest(mark), unittest.mock.patch("socket.getaddrinfo", resolved):
                for address in (url, f"{API.url}/redirect?{urllib.parse.quote(url)}"):
                    with contextlib.suppress(Exception):  # some libraries do not take it at all
                        self.fetch(address, self.auth)
        self.assertFalse([s for s in ELSEWHERE.seen if "Bearer" in s["credential"]])

    def test_a_401_of_elsewhere_is_not_the_tokens_fault(self: Any) -> None:
        first = self.bearer()
        status, text = self.fetch(f"{API.url}/redirect?{ELSEWHERE.url}/refuse-all", self.auth)
        self.assertEqual((status, len(API.seen), len(ELSEWHERE.seen)), (401, 1, 1))
        self.assertEqual(first, self.bearer())

    def test_a_header_of_the_callers_own_stays(self: Any) -> None:
        status, text = self.fetch(API.url + "/", self.auth, headers={"Authorization": "mine", "X-Mine": "1"})
        self.assertEqual((json.loads(text)["credential"], json.loads(text)["mine"]), ("mine", "1"))
        status, text = self.fetch(API.url + "/", self.auth, headers={"X-Mine": "1"})
        self.assertEqual((json.loads(text)["credential"], json.loads(text)["mine"]), (self.bearer(), "1"))


class Requests(Library, unittest.TestCase):
    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        with requests.Session() as session:
            session.auth = auth
            with session.request("GET" if body is None else "POST", url, data=body, headers=headers) as answer:
                return answer.status_code, answer.text

    def test_a_file_is_rewound(self) -> None:
        self.use(next(PROFILES))
        self.assertEqual(self.fetch(API.url + "/refuse-first", self.auth, io.BytesIO(b"file"))[0], 200)
        self.assertEqual([s["body"] for s in API.seen], ["file", "file"])

    def test_answers_and_errors_are_pickled_without_the_token(self) -> None:
        self.use(next(PROFILES))
        with requests.get(API.url + "/redirect?/refuse-all%3fquiet", auth=self.auth) as answer:
            self.hides(pickle.dumps(answer), answer.__dict__, answer.request.headers)
            self.assertEqual(pickle.loads(pickle.dumps(answer)).status_code, 401)
            with self.assertRaises(requests.HTTPError) as caught:
                answer.raise_for_status()
            self.hides(pickle.dumps(caught.exception))
        with requests.get(API.url + "/redirect?/quiet", auth=self.auth, allow_redirects=False) as answer:
            assert answer.next is not None
            self.hides(pickle.dumps(answer.next))
        try:
            requests.get(API.url + "/hang-up", auth=self.auth)
        except requests.ConnectionError as e:
            self.hides(pickle.dumps(e), e.request.headers)
        else:
            self.fail("there was no error")

    def test_what_netrc_has_for_elsewhere_is_not_the_token(self) -> None:
        with tempfile.NamedTemporaryFile("w") as netrc, unittest.mock.patch.dict(os.environ, NETRC=netrc.name):
            netrc.write("machine api.example.com login dummy password dummy")
            netrc.flush()
            with unittest.mock.patch("socket.getaddrinfo", resolved):
                url = f"http://api.example.com:{ELSEWHERE.server_address[1]}/refuse-all"
                status, text = self.fetch(f"{API.url}/redirect?{url}", self.auth)
        self.assertEqual((status, json.loads(text)["credential"][:6]), (401, "Basic "))


class HTTPX(Library, unittest.TestCase):
    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        with httpx.Client(auth=auth, follow_redirects=True) as client:
            answer = client.request("GET" if body is None else "POST", url, content=body, headers=headers)
            return answer.status_code, answer.text

    def test_a_request_that_is_sent_twice(self) -> None:
        self.use(next(PROFILES))
        with httpx.Client(auth=self.auth) as client:
            request = client.build_request("GET", API.url + "/refuse-first")
            first = client.send(request)
            self.assertEqual((first.status_code, len(API.seen)), (200, 2))
            self.assertEqual(client.send(request).json()["credential"], self.bearer())
        self.assertNotIn("Authorization", first.request.headers)
        self.assertNotIn("trace", request.extensions)

    def test_answers_and_errors_are_without_the_token(self) -> None:
        self.use(next(PROFILES))
        elsewhere = f"/redirect?/redirect%3f{ELSEWHERE.url}/quiet"
        for auth, path in ((self.auth, "/redirect?/refuse-first%3fquiet"), (groat.auth("key"), elsewhere)):
            with httpx.Client(auth=auth, follow_redirects=True) as client:
                answer = client.get(API.url + path)
                for one in (*answer.history, answer):
                    self.assertFalse({"authorization", "x-key"} & set(one.request.headers))
                following = client.get(f"{API.url}/redirect?{ELSEWHERE.url}", follow_redirects=False).next_request
                assert following is not None
                self.assertFalse({"authorization", "x-key"} & set(following.headers))
                with self.assertRaises(httpx.TransportError) as caught:
                    client.get(API.url + "/redirect?/hang-up%3fquiet")
                request = caught.exception.request
                self.hides(pickle.dumps(request), request.headers)
                self.assertNotIn("dummy", repr([pickle.dumps(request), request.headers, request.headers.multi_items()]))

    def test_a_transport_of_the_callers_own(self) -> None:
        seen = []

        def answer(request: httpx.Request) -> httpx.Response:
            url, value = request.url, request.headers.get("Authorization") or request.headers.get("X-Key") or ""
            seen.append((url.path, value in ("dummy", self.bearer())))
            return httpx.Response(307 if url.query else 200, headers={"Location": str(url.query, "ascii")})

        class Copies(httpx.HTTPTransport):
            def handle_request(self, request: httpx.Request) -> httpx.Response:
                headers = httpx.Headers(list(request.headers.raw))
                return super().handle_request(httpx.Request(request.method, request.url, headers=headers))

        for auth in (self.auth, groat.auth("key")):
            for location in (ELSEWHERE.url + "/there", "/there"):
                with self.subTest(auth=auth, location=location):
                    for transport in (httpx.MockTransport(answer), Copies()):
                        seen.clear()
                        self.setUp()
                        with httpx.Client(auth=auth, follow_redirects=True, transport=transport) as client:
                            client.get(f"{API.url}/redirect?{location}")
                        seen += [(s["path"], bool(s["credential"])) for s in API.seen + ELSEWHERE.seen]
                        self.assertEqual(seen, [("/redirect", True), ("/there", False)])

    def test_a_proxy_of_the_programs_own_has_no_token(self) -> None:
        proxy = httpx.HTTPTransport(proxy=httpx.Proxy(ELSEWHERE.url))
        with httpx.Client(auth=self.auth, mounts={"http://": proxy}) as client:
            self.assertEqual(client.get(API.url + "/there").status_code, 200)
        self.assertEqual([s["credential"] for s in ELSEWHERE.seen], [""])

    def test_an_httpx_that_copies_the_token(self) -> None:
        def copy(self: Any, headers: Any = None, encoding: Any = None) -> None:
            init(self, headers.raw if isinstance(headers, httpx.Headers) else headers, encoding)

        init = httpx.Headers.__init__
        with unittest.mock.patch.object(httpx.Headers, "__init__", copy), self.assertRaises(groat.ConfigError):
            self.fetch(API.url, self.auth)
        self.assertEqual(API.seen, [])

    def test_a_trace_of_the_callers_own_stays(self) -> None:
        events = []
        with httpx.Client(auth=self.auth) as client:
            client.get(API.url + "/", extensions={"trace": lambda event, info: events.append(event)})
        self.assertIn("http11.send_request_headers.started", events)


class AsyncHTTPX(Library, unittest.TestCase):
    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        async def run() -> Any:
            async with httpx.AsyncClient(auth=auth, follow_redirects=True) as client:
                answer = await client.request("GET" if body is None else "POST", url, content=body, headers=headers)
                return answer.status_code, answer.text

        return asyncio.run(run())

    def stream(self) -> Any:
        async def parts() -> Any:
            yield b"str"
            yield b"eam"

        return parts()


class AIOHTTP(Library, unittest.TestCase):
    stream = AsyncHTTPX.stream

    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        async def run() -> Any:
            method = "GET" if body is None else "POST"
            async with auth.client_session(headers={"X-Default": "1"}) as session:
                async with session.request(method, url, data=body, headers=headers) as answer:
                    return answer.status, await answer.text()

        return asyncio.run(run())

    def test_raise_for_status(self) -> None:
        self.use(next(PROFILES))

        async def run() -> None:
            async with self.auth.client_session(raise_for_status=True) as session:
                async with session.get(API.url + "/refuse-first") as answer:
                    self.assertEqual(answer.status, 200)
                async with session.get(API.url + "/refuse-all", raise_for_status=False) as answer:
                    self.assertEqual(answer.status, 401)
                self.use(next(PROFILES))
            async with self.auth.client_session(raise_for_status=True) as session:
                with self.assertRaises(aiohttp.ClientResponseError) as caught:
                    await session.get(API.url + "/refuse-all")
                self.hides(caught.exception, vars(caught.exception))

        asyncio.run(run())

    def test_a_request_that_is_sent_on_has_no_token_of_its_own(self) -> None:
        made = []

        class Request(aiohttp.ClientRequest):
            def __init__(self, *args: Any, **rest: Any) -> None:
                made.append({**rest["headers"]})
                super().__init__(*args, **rest)

        async def run() -> None:
            for auth in (self.auth, groat.auth("key")):
                async with auth.client_session(request_class=Request) as session:
                    for path in ("/there", f"{ELSEWHERE.url}/redirect?{API.url}/back"):
                        async with session.get(f"{API.url}/redirect?{path}") as answer:
                            self.assertEqual(answer.status, 200)

        asyncio.run(run())
        self.assertEqual(len(made), 10)
        self.assertFalse([headers for headers in made if {"Authorization", "X-Key"} & set(headers)])
        carried = [bool(s["credential"]) for s in API.seen if s["path"] != "/redirect"]
        self.assertEqual(carried, [True, False] * 2)
        self.assertFalse([s for s in ELSEWHERE.seen if s["credential"]])

    def test_what_a_caller_authenticates_with_stays_and_netrc_does_not(self) -> None:
        async def run() -> list[str]:
            seen = []
            for settings in ({"auth": aiohttp.BasicAuth("mine", "p")}, {"trust_env": True}):
                async with self.auth.client_session(**settings) as session:
                    async with session.get(API.url) as answer:
                        seen.append((await answer.json(content_type=None))["credential"])
            return seen

        with tempfile.NamedTemporaryFile("w") as netrc, unittest.mock.patch.dict(os.environ, NETRC=netrc.name):
            netrc.write(f"machine {HOST} login dummy password dummy")
            netrc.flush()
            self.assertEqual(asyncio.run(run()), ["Basic bWluZTpw", self.bearer()])

    def test_no_proxy_of_the_programs_own(self) -> None:
        async def run() -> None:
            async with self.auth.client_session() as session:
                with self.assertRaises(groat.Denied):
                    await session.get(API.url, proxy=ELSEWHERE.url)

        asyncio.run(run())
        self.assertEqual(ELSEWHERE.seen, [])


class Urllib(Library, unittest.TestCase):
    def fetch(self, url: str, auth: groat.Auth, body: Any = None, headers: Any = None) -> Any:
        opener = urllib.request.build_opener(auth)  # type: ignore[arg-type]
        return self.open(opener, urllib.request.Request(url, body, headers or {}))

    @staticmethod
    def open(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Any:
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read().decode()

    def test_a_file_is_rewound(self) -> None:
        self.use(next(PROFILES))
        self.assertEqual(self.fetch(API.url + "/refuse-first", self.auth, io.BytesIO(b"file"))[0], 200)
        self.assertEqual([s["body"] for s in API.seen], ["file", "file"])

    def test_a_request_that_is_opened_twice(self) -> None:
        self.use(next(PROFILES))
        opener = urllib.request.build_opener(self.auth)  # type: ignore[arg-type]
        request = urllib.request.Request(API.url)
        self.assertEqual(json.loads(self.open(opener, request)[1])["credential"], self.bearer())
        groat.reject(groat.token(self.profile), self.profile)
        self.assertEqual(json.loads(self.open(opener, request)[1])["credential"], self.bearer())

    def test_no_proxy_of_the_programs_own(self) -> None:
        for proxy in (ELSEWHERE.url, ELSEWHERE.url.replace("http", "https")):
            handlers: Any = self.auth, urllib.request.ProxyHandler({"http": proxy})
            request = urllib.request.Request(API.url)
            for _ in range(2):
                self.assertRaises(groat.Denied, self.open, urllib.request.build_opener(*handlers), request)
        self.assertEqual(ELSEWHERE.seen, [])

    def test_by_a_tunnel_of_a_proxy(self) -> None:
        t = {"access_token": "dummy", "header": "Authorization: Bearer dummy", "api": "https://api.example.com"}
        better = {**t, "access_token": "better", "header": "Authorization: Bearer better"}
        sent = []

        class Opener(urllib.request.BaseHandler):
            handler_order = 495

            def https_open(self, request: Any) -> Any:
                sent.append((request.host, request._tunnel_host, request.get_header("Authorization")))
                status = 401 if "dummy" in sent[-1][2] else 200
                answer = urllib.response.addinfourl(io.BytesIO(), email.message.Message(), request.full_url, status)
                answer.msg = ""  # type: ignore[attr-defined]
                return answer

        proxy = urllib.request.ProxyHandler({"https": "http://proxy.example.com:3128"})
        opener = urllib.request.build_opener(self.auth, proxy, Opener)  # type: ignore[arg-type]
        request = urllib.request.Request("https://api.example.com/a")
        with unittest.mock.patch.object(groat._Client, "call") as call:
            call.side_effect = [t, better] * 3
            for _ in range(3):
                self.assertEqual(self.open(opener, request)[0], 200)
        self.assertEqual({(c.args[0], c.args[1]["target"]) for c in call.call_args_list},
                         {("token", "https://api.example.com/a"), ("reject", "https://api.example.com/a")})
        place = "proxy.example.com:3128", "api.example.com"
        self.assertEqual(sent, [(*place, "Bearer dummy"), (*place, "Bearer better")] * 3)

    def test_one_auth_in_two_openers(self) -> None:
        class Marks(urllib.request.BaseHandler):
            def http_request(self, request: Any) -> Any:
                request.add_unredirected_header("X-Mine", self.mark)
                return request

        self.use(next(PROFILES))
        openers = []
        for mark in ("a", "b"):
            marks: Any = Marks()
            marks.mark = mark
            openers.append(urllib.request.build_opener(self.auth, marks))  # type: ignore[arg-type]
        request = urllib.request.Request(API.url + "/refuse-first")
        self.assertEqual(self.open(openers[0], request)[0], 200)
        self.assertEqual([s["mine"] for s in API.seen], ["a", "a"])

    def test_a_redirect_that_is_not_recorded_has_no_token(self) -> None:
        class Follows(urllib.request.HTTPRedirectHandler):
            def http_error_307(self, request: Any, answer: Any, code: int, message: str, headers: Any) -> Any:
                url = urllib.parse.urljoin(request.full_url, headers["location"])
                return self.parent.open(self.redirect_request(request, answer, code, message, headers, url))

        opener = urllib.request.build_opener(self.auth, Follows)  # type: ignore[arg-type]
        status, text = self.open(opener, urllib.request.Request(API.url + "/redirect?/there"))
        self.assertEqual((status, json.loads(text)["credential"]), (200, ""))


class Addresses(unittest.TestCase):
    def test_where_a_token_may_go(self) -> None:
        for url, target in {
            "https://API.example.com": "https://api.example.com/",
            "https://api.example.com:443/a?b#c": "https://api.example.com/a",
            "https://u:p@api.example.com:8443//a": "https://api.example.com:8443//a",
            "http://localhost:8000/a/../b": "http://localhost:8000/a/../b",
            "http://127.9.9.9/": "http://127.9.9.9/",
            "http://[::1]:8000/": "http://[::1]:8000/",
            "http://example.com/": "",
            "http://127.0.0.1.example.com/": "",
            "http://0x7f.1/": "",
            "https://a.example\\@b.example/": "",
            "https://a.example%2f@b.example%2fc/": "",
            "https://[::1/": "",
            "https://a[::1]:80/": "",
            "https://[::1]a:80/": "",
            "https://api.example.com:port/": "",
            "https:///a": "",
            "ftp://localhost/": "",
            "": "",
        }.items():
            with self.subTest(url):
                address = groat._address_of(url)
                if target:
                    self.assertEqual(address.target(), target)
                else:
                    self.assertRaises(groat.Denied, address.target)

    def test_no_proxy_sees_a_token(self) -> None:
        for variables, seen in (
            ({"http_proxy": "http://proxy:3128"}, True),
            ({"all_proxy": "http://proxy:3128"}, True),
            ({"http_proxy": "http://proxy:3128", "no_proxy": "localhost"}, False),
            ({"https_proxy": "http://proxy:3128"}, False),
            ({}, False),
        ):
            with self.subTest(variables), unittest.mock.patch.dict(os.environ, variables, clear=True):
                local, remote = groat._address_of("http://localhost:8000"), groat._address_of("https://h")
                self.assertEqual(remote.target(), "https://h/")  # it sees a tunnel
                self.assertEqual(local.target(environment=False), "http://localhost:8000/")
                if seen:
                    self.assertRaises(groat.Denied, local.target)
                else:
                    self.assertEqual(local.target(), "http://localhost:8000/")

    def test_what_is_under_an_api(self) -> None:
        for url, api, within in (
            ("https://a.example/b", "https://a.example", True),
            ("https://a.example:443/%2e", "https://A.example:443", True),
            ("https://a.example/b", "http://a.example", False),
            ("https://a.example:8443/b", "https://a.example", False),
            ("https://b.a.example/b", "https://a.example", False),
            ("https://a.example/team", "https://a.example/team", True),
            ("https://a.example/team/x/", "https://a.example/team", True),
            ("https://a.example/team-b", "https://a.example/team", False),
            ("https://a.example/team/../b", "https://a.example/team", False),
            ("https://a.example/team/..", "https://a.example/team", False),
            ("https://a.example/team//b", "https://a.example/team", False),
            ("https://a.example/team/%2e%2e/b", "https://a.example/team", False),
            ("https://a.example/team/..;/b", "https://a.example/team", False),
            ("https://a.example/team\\..\\b", "https://a.example/team", False),
        ):
            with self.subTest(url=url, api=api):
                self.assertIs(groat._address_of(url).is_within(api), within)

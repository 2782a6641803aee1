"""The module without a groatd: against a stand-in, or against nothing."""

import ast
import asyncio
import contextlib
import copy
import os
import pickle
import signal
import socket
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any, Optional
from unittest import mock

import groat
import standin
from standin import TOKEN, Groatd, error, result


def hand_out(server: Groatd, request: dict[str, Any]) -> bytes:
    return result(request, TOKEN)


@contextlib.contextmanager
def sigpipe_ends() -> Iterator[None]:
    """Has SIGPIPE end the process, as many a script has it."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


class Interrupted(BaseException):
    """What a handler of a signal raises: KeyboardInterrupt is one of these."""


class Connections(unittest.TestCase):
    def test_one_connection_for_one_call_after_the_other(self) -> None:
        with standin.groatd(hand_out) as server:
            for _ in range(3):
                self.assertEqual(groat.token("work"), "t0ken")
            self.assertEqual(len(server.connections), 1)
            self.assertEqual([r["id"] for r in server.requests], [1, 2, 3])
            self.assertEqual(server.requests[0]["params"], {"profile": "work"})

    def test_threads(self) -> None:
        def echo(server: Groatd, request: dict[str, Any]) -> bytes:
            return result(request, {**TOKEN, "access_token": request["params"]["profile"], "header": "X: " +
                                    request["params"]["profile"]})  # fmt: skip

        wrong: list[str] = []

        def ask(profile: str) -> None:
            wrong.extend(t for t in (groat.token(profile) for _ in range(50)) if t != profile)

        with standin.groatd(echo) as server:
            threads = [threading.Thread(target=ask, args=(f"p{n}",)) for n in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual((wrong, len(server.requests)), ([], 400))
            self.assertLessEqual(len(server.connections), 8)

    def test_a_slow_answer_holds_nobody_up(self) -> None:
        held, release = threading.Event(), threading.Event()

        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            if request["params"]["profile"] == "slow":
                held.set()
                release.wait(60)
            return result(request, TOKEN)

        with standin.groatd(answer):
            slow = threading.Thread(target=groat.token, args=("slow",))
            slow.start()
            held.wait(60)
            self.assertEqual(groat.token("work"), "t0ken")
            self.assertTrue(slow.is_alive())
            release.set()
            slow.join()

    def test_groatd_is_restarted(self) -> None:
        with standin.groatd(hand_out) as server:
            groat.token("work")
            with sigpipe_ends():
                server.hang_up()
                self.assertEqual(groat.token("work"), "t0ken")
                server.hang_up()
                self.assertEqual(asyncio.run(groat.async_token("work")), "t0ken")
            self.assertEqual(len(server.connections), 3)

    def test_groatd_ends_while_a_secret_is_typed(self) -> None:
        def prompt(server: Groatd, request: dict[str, Any]) -> bytes:
            params = {"login_id": "1", "question": 1, "kind": "secret", "text": "Password"}
            return groat._encode({"jsonrpc": "2.0", "method": "prompt", "params": params}).encode() + b"\n"

        def typed(what: str) -> str:
            server.hang_up()
            return "s3cret"

        with standin.groatd(prompt) as server, mock.patch("getpass.getpass", typed), sigpipe_ends():
            self.assertRaises(groat.Unreachable, groat.login, "work")

    def test_repeats_are_within_the_timeout(self) -> None:
        clock = mock.Mock(wraps=time, monotonic=lambda: now[0])
        clock.sleep = lambda seconds: now.append(now.pop() + seconds)
        now = [0.0]

        def slow(server: Groatd, request: dict[str, Any]) -> None:
            now.append(now.pop() + 60)

        with standin.groatd(slow) as server, mock.patch.object(groat, "time", clock):
            for call in (groat.request, lambda *args, **kw: asyncio.run(groat.async_request(*args, **kw))):
                server.requests.clear()
                self.assertRaises(groat.Unreachable, call, "hello", timeout=100)
                self.assertEqual(len(server.requests), 2)
                server.requests.clear()
                self.assertRaises(groat.Unreachable, call, "hello", timeout=300)
                self.assertEqual(len(server.requests), 3)

    def test_a_connection_that_is_lost_is_closed(self) -> None:
        with standin.groatd(hand_out) as server:
            client = groat._current()
            number = client._connect().sock.fileno()  # an interrupt may come before it is used
            self.assertRaises(OSError, os.fstat, number)
            self.assertEqual((len(server.connections) < 2, client.open), (True, set()))
            groat.token("work")
            self.assertEqual(len(client.open), 1)
            client.close()
            self.assertEqual(client.open, set())

    def test_what_was_not_answered_is_repeated_if_it_may_be(self) -> None:
        def answer(server: Groatd, request: dict[str, Any]) -> Optional[bytes]:
            return None if len(server.requests) < 3 else result(request, TOKEN)

        with standin.groatd(answer) as server:
            self.assertEqual(groat.token("work"), "t0ken")
            self.assertEqual(len(server.requests), 3)
        with standin.groatd(answer) as server:
            with self.assertRaises(groat.Unreachable) as caught:
                groat.request("logout", {"profile": "work"})
            self.assertEqual(caught.exception.message, "groatd ended the connection before it answered")
            self.assertEqual(len(server.requests), 1)

    def test_an_answer_that_is_cut(self) -> None:
        def cut(server: Groatd, request: dict[str, Any]) -> Optional[bytes]:
            whole = result(request, TOKEN)
            if len(server.requests) > 1:
                return whole
            server.connections[-1].sendall(whole[: len(whole) // 2])
            return None

        for call in (groat.token, lambda profile: asyncio.run(groat.async_token(profile))):
            with standin.groatd(cut) as server:
                with self.assertRaises(groat.ProtocolError) as caught:
                    call("work")
                self.assertRegex(str(caught.exception), "^groatd's answer was cut in the middle: .*\nhint: groat restart$")
                self.assertNotIn("t0ken", standin.shown(caught.exception))
                self.assertEqual(call("work"), "t0ken")
                self.assertEqual((len(server.requests), len(server.connections)), (2, 2))

    def test_a_groatd_that_always_hangs_up(self) -> None:
        with standin.groatd(lambda server, request: None) as server:
            self.assertRaises(groat.Unreachable, groat.token, "work")
            self.assertEqual(len(server.requests), 3)

    def test_an_interrupt_leaves_a_usable_client(self) -> None:
        release = threading.Event()

        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            if request["params"]["profile"] == "slow":
                server.connections[-1].sendall(b'{"jsonrpc":"2.0",')
                os.kill(os.getpid(), signal.SIGUSR1)
                release.wait(60)
            return result(request, TOKEN)

        def interrupt(*args: object) -> None:
            raise Interrupted

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with standin.groatd(answer):
                self.assertRaises(Interrupted, groat.token, "slow")
                self.assertEqual(groat.token("work"), "t0ken")
                release.set()
                self.assertEqual(groat.token("work"), "t0ken")
        finally:
            release.set()
            signal.signal(signal.SIGUSR1, before)

    def test_every_wait_has_an_end(self) -> None:
        release = threading.Event()

        def silent(server: Groatd, request: dict[str, Any]) -> None:
            release.wait(60)

        def chatter(server: Groatd, request: dict[str, Any]) -> None:
            while True:  # until the client closes
                server.connections[-1].sendall(b'{"jsonrpc":"2.0","method":"later"}\n' * 100)

        def slow_line(server: Groatd, request: dict[str, Any]) -> None:
            while not release.wait(0.01):
                server.connections[-1].sendall(b" ")

        for answer in (silent, chatter, slow_line):
            release.clear()
            with self.subTest(answer.__name__), standin.groatd(answer):
                with self.assertRaises(groat.Unreachable) as caught:
                    groat.request("hello", timeout=0.1)
                self.assertEqual(str(caught.exception), "groatd does not answer\nhint: groat restart")
                release.set()

    def test_a_forked_child_has_its_own(self) -> None:
        with standin.groatd(hand_out) as server:
            groat.token("work")
            inherited = groat._current().idle[0].sock.fileno()
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    self.assertRaises(OSError, os.fstat, inherited)
                    code = 0 if groat.token("work") == "t0ken" else 2
                finally:
                    os._exit(code)
            self.assertEqual(groat.token("work"), "t0ken")
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual([r["id"] for r in server.requests if r["id"] > 1], [2])
            self.assertEqual(len(server.connections), 2)

    def test_the_environment_is_looked_at(self) -> None:
        with standin.groatd(hand_out) as first:
            groat.token("work")
            with standin.groatd(hand_out) as second:
                groat.token("work")
            groat.token("work")
            self.assertEqual((len(first.requests), len(second.requests)), (2, 1))

    def test_a_socket_of_another_user(self) -> None:
        with standin.environment(GROAT_SOCKET="~/s") as home:
            os.chmod(home, 0o777)
            listening, ready = os.pipe()
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.setuid(4242)
                    trap = socket.socket(socket.AF_UNIX)
                    trap.bind(home + "/s")
                    os.chmod(home + "/s", 0o777)
                    trap.listen()
                    os.write(ready, b"x")
                    connection, _ = trap.accept()
                    code = 0 if connection.recv(1) == b"" else 2  # nothing is sent to it
                finally:
                    os._exit(code)
            os.close(ready)
            self.assertEqual(os.read(listening, 1), b"x")
            os.close(listening)
            with self.assertRaises(groat.Unreachable) as caught:
                groat.token("work")
            self.assertIn("another user (uid 4242)", str(caught.exception))
            self.assertEqual(caught.exception.hint, "ls -ld " + home + "/s")
            self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_what_is_no_socket(self) -> None:
        with standin.environment(GROAT_SOCKET="~/a b") as home:
            with open(home + "/a b", "wb"):
                pass
            self.assertRaises(groat.Unreachable, groat.token, "work")
            loop = home + "/loop"
            os.symlink(loop, loop)
            os.environ["GROAT_SOCKET"] = loop + "/a b"
            with self.assertRaises(groat.Unreachable) as caught:
                groat.token("work")
            self.assertEqual(caught.exception.hint, f"ls -ld '{loop}/a b'")

    def test_the_lock_says_where_groatd_listens(self) -> None:
        with standin.environment() as home:
            route = groat._Route({"HOME": home, "XDG_RUNTIME_DIR": home})
            assert route.place is not None
            os.makedirs(route.place.state, 0o700)
            server = Groatd(home + "/elsewhere", hand_out)
            try:
                with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
                    boot = f.read().strip()
                place = dict(zip(("home", "configuration", "state"), route.place.paths))
                record: dict[str, Any] = {"pid": 1, "host": socket.gethostname(), "boot": boot, "place": place}
                record["socket"] = server.path
                lock = os.path.join(route.place.state, "lock")
                changes: list[tuple[dict[str, Any], bool]] = [
                    ({}, True),
                    ({"host": "other"}, False),
                    ({"boot": "before"}, False),
                    ({"place": {**place, "home": "/x"}}, False),
                ]
                for changed, found in changes:
                    with open(lock, "w", encoding="utf-8") as f:
                        f.write(groat._encode({**record, **changed}))
                    os.chmod(lock, 0o600)
                    connection = route.reach()
                    self.assertIs(connection is not None, found, changed)
                    if connection is not None:
                        connection.close()
                os.chmod(route.place.state, 0o755)
                self.assertIsNone(route.reach())
            finally:
                server.close()

    def test_the_plain_socket_may_be_another_places(self) -> None:
        def elsewhere(server: Groatd, request: dict[str, Any]) -> bytes:
            return error(request, -32006, "another place's", kind="config", place={"home": "/x"})

        with standin.environment() as home:
            os.mkdir(home + "/groat", 0o700)
            for answer, error_class in ((elsewhere, groat.Unreachable), (hand_out, None)):
                server = Groatd(home + "/groat/agent.sock", answer)
                try:
                    if error_class is None:
                        self.assertEqual(groat.token("work"), "t0ken")
                    else:
                        self.assertRaises(error_class, groat.token, "work")
                    self.assertEqual(server.requests[0]["method"], "hello")
                    self.assertEqual(server.requests[0]["place"], groat._Route(dict(os.environ)).place_id)
                finally:
                    server.close()
                    os.unlink(server.path)


class Explained(unittest.TestCase):
    def test_another_way_to_servers(self) -> None:
        network = {"started_at": 1785600000, "proxy": {"value": "http://b:1", "from": "x"}}
        here, proxy = "is set here; groatd runs since 2026-0", "groat network set proxy http://a:1"
        vouched = {"hint": "groat network set ca_file FILE"}
        for more, variables, said, hint in (
            ({}, {"https_proxy": "HTTP://a:1/"}, here, proxy),
            ({}, {"HTTPS_PROXY": "a:1"}, "environment of its own and uses http://b:1 instead)", proxy),
            ({}, {"https_proxy": "http://me:s3cret@a:1"}, here, "groat network"),
            ({}, {"https_proxy": "http://me@b:1"}, "", "groat network"),
            ({}, {}, "", "groat network"),
            (vouched, {"https_proxy": "a:1"}, "", vouched["hint"]),
            (vouched, {"SSL_CERT_FILE": "/nowhere"}, "", vouched["hint"]),
            (vouched, {"REQUESTS_CA_BUNDLE": __file__}, "its own and does not use it)", "groat network set ca_file "),
        ):

            def refuse(server: Groatd, request: dict[str, Any]) -> bytes:
                data = {"kind": "temporary", "hint": "groat network", "network": network, **more}
                return error(request, -32002, "no way", **data)

            with self.subTest(variables), standin.groatd(refuse), mock.patch.dict(os.environ, variables):
                with self.assertRaises(groat.Temporary) as caught:
                    groat.token("work")
                self.assertTrue(caught.exception.message.startswith("no way" + (" (" if said else "")))
                self.assertIn(said, caught.exception.message)
                self.assertNotIn("s3cret", str(caught.exception))
                self.assertTrue(caught.exception.hint.startswith(hint), caught.exception.hint)
                e = caught.exception
                self.assertEqual(repr(e), f"Temporary({e.message!r}, {e.hint!r})")

    def test_a_python_that_is_too_old(self) -> None:
        with open(groat.__file__, encoding="utf-8") as module:
            source = module.read()
        ast.parse(source, feature_version=(3, 8))  # else it says "invalid syntax"
        old = mock.patch.object(sys, "version_info", (3, 8, 20))
        with old, self.assertRaisesRegex(ImportError, "needs Python 3.9"):
            exec(compile(source, groat.__file__, "exec"), {"__name__": "groat"})

    def test_the_version(self) -> None:
        self.assertEqual(groat.__version__, "0")  # a copied file has none
        self.assertRaises(AttributeError, getattr, groat, "tokens")


class Starting(unittest.TestCase):
    def test_what_keeps_groatd_from_starting(self) -> None:
        says = "#!/bin/sh\n(echo 'groat: error: no such host: h'; echo 'groat: hint: groat logs') >&2; exit "
        may = {"GROAT_NO_AUTOSTART": ""}
        unreachable, config = groat.Unreachable, groat.ConfigError
        cases: list[tuple[str, dict[str, str], str, type[groat.Error], str]] = [
            ("forbidden", {}, "", unreachable, "GROAT_NO_AUTOSTART forbids starting it\nhint: https://"),
            ("no groat", may, "", unreachable, "or /usr/local/bin\nhint: https://"),
            ("no home", {"HOME": "x"}, "", groat.Error, "hint: "),
            ("a relative socket", {"GROAT_SOCKET": "s"}, "", config, "hint: unset GROAT_SOCKET"),
            ("a long socket", {"GROAT_SOCKET": "/" + "s" * 103}, "", config, "hint: unset GROAT_SOCKET"),
            ("a relative place", {"GROAT_STATE_DIR": "s"}, "", config, "hint: unset GROAT_STATE_DIR"),
            ("groat refuses", may, says + "69", unreachable, "no such host: h\nhint: groat logs"),
            ("bad configuration", may, says + "78", config, "no such host: h\nhint: groat logs"),
            ("groat says nothing", may, "#!/bin/sh\nexit 1\n", unreachable, "hint: groat status"),
            ("groat starts nothing", may, "#!/bin/sh\n", unreachable, "groatd does not run"),
            ("groat hangs", may, "#!/bin/sh\nexec /bin/sleep 600\n", unreachable, "hint: "),
        ]
        elsewhere = mock.patch.object(groat, "_INSTALLED", ("~/.local/bin",))  # this machine may have one
        for name, variables, script, kind, text in cases:
            with self.subTest(name), standin.environment(PATH="relative:~/bin", **variables) as home, elsewhere:
                if script:
                    os.mkdir(home + "/bin")
                    with open(home + "/bin/groat", "w", encoding="utf-8") as f:
                        f.write(script)
                    os.chmod(home + "/bin/groat", 0o700)
                patience = 0.5 if name == "groat hangs" else 60
                with mock.patch.object(groat, "_START_TIME", patience), self.assertRaises(kind) as caught:
                    groat.token("work")
                self.assertIn(text, str(caught.exception))
                self.assertLessEqual(str(caught.exception).count("\n"), 1)

    def test_groat_where_make_install_puts_it(self) -> None:
        with standin.environment(PATH="relative:~/bin") as home:
            path = home + "/.local/bin/groat"
            os.makedirs(home + "/.local/bin", 0o755)
            with open(path, "w", encoding="utf-8"):
                pass
            self.assertNotEqual(groat._find("groat"), path)  # it is no program
            os.chmod(path, 0o755)
            self.assertEqual(groat._find("groat"), path)
            os.chmod(home + "/.local/bin", 0o777)
            self.assertNotEqual(groat._find("groat"), path)  # anybody's


class Asyncio(unittest.TestCase):
    def test_the_loop_goes_on(self) -> None:
        asked, release = threading.Event(), threading.Event()

        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            asked.set()
            release.wait(60)
            return result(request, TOKEN)

        async def run() -> None:
            waiting = asyncio.ensure_future(groat.async_token("work"))
            while not asked.is_set():
                await asyncio.sleep(0)
            self.assertFalse(waiting.done())
            release.set()
            self.assertEqual(await waiting, "t0ken")
            self.assertEqual(await groat.async_header("work"), {"Authorization": "Bearer t0ken"})
            self.assertEqual((await groat.async_reject("old", "work")).access_token, "t0ken")

        with standin.groatd(answer) as server:
            asyncio.run(run())
            asyncio.run(run())  # another loop
            self.assertEqual(groat.token("work"), "t0ken")
            self.assertEqual(len(server.connections), 1)

    def test_the_loop_goes_on_in_a_flood(self) -> None:
        turns, heard = [0], set()
        hear = groat._Connection.hear

        def counting(connection: groat._Connection, chunk: bytes) -> Any:
            heard.add(turns[0])
            return hear(connection, chunk)

        async def run() -> None:
            waiting = asyncio.ensure_future(groat.async_token("work"))
            while not waiting.done():
                turns[0] += 1
                await asyncio.sleep(0)
            await waiting

        def flood(server: Groatd, request: dict[str, Any]) -> bytes:
            return b'{"jsonrpc":"2.0","method":"later"}\n' * 100 + result(request, TOKEN)

        with standin.groatd(flood), mock.patch.object(groat, "_CHUNK", 35):
            with mock.patch.object(groat._Connection, "hear", counting):
                asyncio.run(run())
        self.assertGreater(len(heard), 100)

    def test_loops_in_threads_have_a_gate_each(self) -> None:
        client, got = groat._Client(()), []

        class Loop:
            other: Optional[threading.Thread] = None

            def is_closed(self) -> bool:
                if self.other is not None and not self.other.ident:
                    self.other.start()
                    self.other.join(0.1)  # it may have to wait until this one is done
                return False

        first, second, third = Loop(), Loop(), Loop()
        first.other = threading.Thread(target=lambda: got.append(client._gate(third)))
        client._gate(first)
        gate = client._gate(second)
        first.other.join()
        self.assertIs(client._gate(second), gate)
        self.assertIs(client._gate(third), got[0])

    def test_many_at_once(self) -> None:
        async def run() -> list[str]:
            return await asyncio.gather(*(groat.async_token("work") for _ in range(100)))

        with standin.groatd(hand_out) as server:
            self.assertEqual(asyncio.run(run()), ["t0ken"] * 100)
            self.assertLessEqual(len(server.connections), 16)

    def test_a_cancelled_call_leaves_a_usable_client(self) -> None:
        release, asked = threading.Event(), threading.Event()

        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            if request["params"]["profile"] == "slow":
                asked.set()
                release.wait(60)
            return result(request, TOKEN)

        async def run() -> None:
            waiting = asyncio.ensure_future(groat.async_token("slow"))
            while not asked.is_set():
                await asyncio.sleep(0)
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            self.assertEqual(await groat.async_token("work"), "t0ken")

        with standin.groatd(answer):
            asyncio.run(run())
            release.set()

    def test_a_call_that_is_cancelled_while_it_connects(self) -> None:
        connecting, release = threading.Event(), threading.Event()
        reach = groat._Route.reach

        def slow(route: groat._Route) -> Optional[groat._Connection]:
            connecting.set()
            release.wait(60)
            return reach(route)

        async def run() -> None:
            waiting = asyncio.ensure_future(groat.async_token("work"))
            while not connecting.is_set():
                await asyncio.sleep(0)
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            release.set()
            self.assertEqual(await groat.async_token("work"), "t0ken")
            while len(groat._current().open) > 1:
                await asyncio.sleep(0)

        with standin.groatd(hand_out), mock.patch.object(groat._Route, "reach", slow):
            asyncio.run(asyncio.wait_for(run(), 60))
            self.assertEqual(len(groat._current().open), 1)

    def test_restarts_and_silence(self) -> None:
        release = threading.Event()

        def answer(server: Groatd, request: dict[str, Any]) -> Optional[bytes]:
            if request["method"] == "hello":
                release.wait(60)
            return None if len(server.requests) == 2 else result(request, TOKEN)

        async def run() -> None:
            for _ in range(2):
                self.assertEqual(await groat.async_token("work"), "t0ken")
            with self.assertRaises(groat.Unreachable):
                await groat.async_request("hello", timeout=0.1)
            release.set()

        with standin.groatd(answer) as server:
            asyncio.run(run())
            self.assertEqual(len(server.requests), 4)


class Results(unittest.TestCase):
    def refuse(self, *arguments: Any, **data: Any) -> groat.Error:
        with standin.groatd(lambda server, request: error(request, *arguments, **data)):
            with self.assertRaises(groat.Error) as caught:
                groat.token("work")
        return caught.exception

    def test_each_kind_is_a_class(self) -> None:
        for n, (kind, error_class) in enumerate(
            (("login_required", groat.LoginRequired), ("temporary", groat.Temporary), ("denied", groat.Denied),
             ("locked", groat.Locked), ("unknown_profile", groat.UnknownProfile), ("config", groat.ConfigError),
             ("keystore_unavailable", groat.KeystoreUnavailable), ("internal", groat.InternalError))
        ):  # fmt: skip
            e = self.refuse(-32001 - n, "m", kind=kind, hint="groat x", retry_after=7)
            self.assertIs(type(e), error_class)
            self.assertEqual((e.kind, e.hint, e.retry_after, str(e)), (kind, "groat x", 7, "m\nhint: groat x"))
            again = pickle.loads(pickle.dumps(e))
            self.assertEqual((type(again), vars(again)), (type(e), vars(e)))

    def test_an_older_groatd(self) -> None:
        e = self.refuse(-32601, "there is no such method")
        self.assertIsInstance(e, groat.ProtocolError)
        self.assertEqual(e.hint, "groat restart")

    def test_a_parameter_out_of_bounds(self) -> None:
        e = self.refuse(-32602, "a fresh access token is good for 839 seconds at most", max_min_ttl=839)
        self.assertIsInstance(e, (groat.UsageError, ValueError))
        self.assertEqual(e.data["max_min_ttl"], 839)

    def test_an_error_cannot_steer_a_terminal(self) -> None:
        e = self.refuse(-32002, "a\nb\x1b[2J\u202e", kind="temporary", hint="c\rd")
        self.assertEqual(str(e), "a b\ufffd[2J\ufffd\nhint: c d")
        for unseen in "\u034f\u115f\u1160\u17b4\u180b\u180f\u2800\u3000\u3164\ufe0f\uffa0\ufeff\U000e0100\ud800":
            self.assertEqual(groat._line(f"a{unseen}b"), "a\ufffdb", ascii(unseen))
        self.assertEqual(groat._line("a" + "\u0301" * 50), "a" + "\u0301" * 4 + "\ufffd" * 46)
        for plain in ("zażółć", "日本語", "naïve – “so”", "e\u0301\u0301 e\u0301", "😀"):
            self.assertEqual(groat._line(plain), plain)

    def test_what_is_no_number_is_not_passed_on(self) -> None:
        for value, seen in ((7, 7), (True, None), (1.5, None), ("7", None), (None, None)):
            self.assertEqual(self.refuse(-32002, "x", kind="temporary", retry_after=value).retry_after, seen)

    def test_parameters(self) -> None:
        with standin.groatd(hand_out) as server, mock.patch.dict(os.environ, {"GROAT_PROFILE": "home"}):
            groat.token(min_ttl=60, scope="read", audience="a", timeout=1.5)
            groat.token(target="https://h/")
            groat.reject(groat.get("work"), "work")
            want = {"profile": "home", "min_ttl": 60, "scope": "read", "audience": "a", "wait": 2}
            self.assertEqual(server.requests[0]["params"], want)
            self.assertEqual(server.requests[1]["params"], {"target": "https://h/"})
            self.assertEqual(server.requests[3]["params"], {"profile": "work", "access_token": "t0ken"})

    def test_of_several_profiles_the_environments(self) -> None:
        choices = {"home": "https://h", "work": "https://h"}

        def choose(server: Groatd, request: dict[str, Any]) -> bytes:
            if "profile" in request["params"]:
                return result(request, TOKEN)
            return error(request, -32005, "2 profiles list it", kind="unknown_profile", choices=choices)

        with standin.groatd(choose) as server:
            for profile, many, asked in (("work", False, "work"), ("other", False, ""), ("other", True, "other")):
                choices = {f"p{n}": "https://h" for n in range(16)} if many else choices
                server.requests.clear()
                with mock.patch.dict(os.environ, {"GROAT_PROFILE": profile}):
                    for call in (groat.token, lambda **target: asyncio.run(groat.async_token(**target))):
                        if asked:
                            self.assertEqual(call(target="https://h/"), "t0ken")
                            want = {"target": "https://h/", "profile": asked}
                            self.assertEqual(server.requests[-1]["params"], want)
                        else:
                            self.assertRaises(groat.UnknownProfile, call, target="https://h/")

    def test_a_request_that_is_too_long(self) -> None:
        with standin.groatd(hand_out) as server:
            self.assertRaises(groat.UsageError, groat.token, "x" * 65536)
            self.assertEqual(server.requests, [])
            self.assertEqual(groat.token("work"), "t0ken")

    def test_an_api_key_is_no_token(self) -> None:
        key = {"access_token": "k k", "static": True, "profile": "key", "header": "X-Key: k k"}
        with standin.groatd(lambda server, request: result(request, key)):
            self.assertEqual(groat.header("key"), {"X-Key": "k k"})
            self.assertTrue(groat.get("key").static)
            with self.assertRaises(groat.UsageError) as caught:
                groat.token("key")
            self.assertEqual(caught.exception.hint, "groat get key --output header")

    def test_what_is_no_header_is_not_handed_out(self) -> None:
        for field in ("", "Authorization", "Authorization: Bearer t0ken\r\nX: y", "X\r\nY: t0ken", ": t0ken",
                      "Authorization: Bearer other", "X: \u00fct0ken"):  # fmt: skip
            answer: dict[str, Any] = {**TOKEN, "header": field}
            with self.subTest(field), standin.groatd(lambda server, request: result(request, answer)):
                self.assertRaises(groat.ProtocolError, groat.get, "work")
        with standin.groatd(lambda server, request: result(request, {"id_token": "x", "token_use": "id"})):
            self.assertRaises(groat.ProtocolError, groat.token, "work")

    def test_a_token_is_not_shown_and_not_pickled(self) -> None:
        with standin.groatd(hand_out):
            t = groat.get("work")
        self.assertNotIn("t0ken", repr(t) + str(t))
        self.assertRaises(TypeError, pickle.dumps, t)
        self.assertRaises(TypeError, copy.copy, t)

    def test_pages(self) -> None:
        def page(server: Groatd, request: dict[str, Any]) -> bytes:
            after = request["params"].get("after", "")
            following = {"": "a", "a": "b"}.get(after)
            found: dict[str, Any] = {"profiles": [{"profile": following or "c"}]}
            return result(request, {**found, "next": following} if following else found)

        with standin.groatd(page):
            self.assertEqual([p["profile"] for p in groat.profiles()], ["a", "b", "c"])
            self.assertNotIn("next", groat.status())
        with standin.groatd(lambda server, request: result(request, {"profiles": [], "next": "a"})):
            self.assertRaises(groat.ProtocolError, groat.profiles)


class Secrets(unittest.TestCase):
    """No secret is in an error: neither in what it says, nor in the locals of a frame that a logger shows with it."""

    def hides(self, secret: str, call: Callable[[], Any], kind: type[BaseException] = groat.Error) -> None:
        try:  # assertRaises would clear the frames
            call()
        except kind as e:
            self.assertNotIn(secret, standin.shown(e))
            self.assertIsNone(e.__context__)
        else:
            self.fail("there was no error")

    def test_answers(self) -> None:
        key = {**TOKEN, "static": True}
        answers: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "an API key": lambda request: result(request, key),
            "no header": lambda request: result(request, {**TOKEN, "header": "X: other"}),
            "no token": lambda request: result(request, {**TOKEN, "access_token": ["t0ken"]}),
            "another id": lambda request: result({"id": 77}, TOKEN),
            "no JSON": lambda request: result(request, TOKEN)[:-2] + b"\n",
        }
        for name, answer in answers.items():
            with self.subTest(name), standin.groatd(lambda server, request: answer(request)):
                self.hides("t0ken", lambda: groat.header("work") and groat.token("work"))
                self.hides("t0ken", lambda: asyncio.run(groat.async_header("work")) and groat.token("work"))

    def test_parameters(self) -> None:
        refused = "s3cret"
        for answer in (lambda request: error(request, -32001, "no", kind="login_required"), lambda request: None):
            with standin.groatd(lambda server, request: answer(request)):
                self.hides(refused, lambda: groat.reject(refused, "work"))
                self.hides(refused, lambda: asyncio.run(groat.async_reject(refused, "work")))
                self.hides(refused, lambda: groat.request("unlock", {"passphrase": refused}))
                self.hides(refused, lambda: asyncio.run(groat.async_request("unlock", {"passphrase": refused})))

    def test_what_is_typed(self) -> None:
        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            if request["method"] == "keystore" and not request["params"]:
                return result(request, {"use": "sealed", "key": "passphrase"})
            if request["method"] == "login":
                prompt = {"login_id": "1", "question": 1, "kind": "secret", "text": "Password"}
                return groat._encode({"jsonrpc": "2.0", "method": "prompt", "params": prompt}).encode() + b"\n"
            last = {"id": 1} if request["method"] == "login_input" else request  # the sign-in's answer
            return error(last, -32002, "no", kind="denied")

        with standin.groatd(answer), mock.patch("getpass.getpass", lambda prompt: "s3cret"):
            self.hides("s3cret", groat.unlock)
            self.hides("s3cret", lambda: groat.login("work"))
            self.hides("s3cret", lambda: groat.login("work", keystore="memory") and self.fail())
        with standin.groatd(answer), mock.patch("getpass.getpass", lambda prompt: "s3cret "):
            self.hides("s3cret", lambda: groat.login("work"))
            self.hides("s3cret", lambda: groat.login_start("work"))
        typed = iter(("s3cret", "s3crets"))
        with standin.groatd(lambda server, request: result(request, {})), mock.patch(
            "getpass.getpass", lambda prompt: next(typed)
        ):
            self.hides("s3cret", lambda: groat.login("work", keystore="passphrase"))

    def test_an_interrupt(self) -> None:
        def answer(server: Groatd, request: dict[str, Any]) -> bytes:
            os.kill(os.getpid(), signal.SIGUSR1)
            return b""

        def interrupt(*args: object) -> None:
            raise Interrupted

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with standin.groatd(answer):
                self.hides("s3cret", lambda: groat.reject("s3cret", "work"), Interrupted)
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_a_bug_is_shown_whole(self) -> None:
        with standin.groatd(hand_out):
            try:
                groat.token("work", scope=object())  # type: ignore[arg-type]
            except TypeError as e:
                self.assertIn("\nask:", standin.shown(e))

    def test_a_secret_is_silent(self) -> None:
        secret = groat._Secret("s3cret")
        for one in (secret, secret[1:], secret.encode(), secret.encode("ascii").decode()):
            self.assertNotIn("3cre", repr(one))
            self.assertNotIn(b"3cre", pickle.dumps(one))
            self.assertEqual(copy.deepcopy(one), one)
            self.assertIs(copy.copy(one), one)
        self.assertEqual((str(secret), f"{secret}", secret.encode()), ("s3cret", "s3cret", b"s3cret"))

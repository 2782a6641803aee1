"""The module against a groatd that runs, with the profile work; packaging/e2e starts both.

GROAT_TEST_API is the address of the authorization server, which has an API at /api/info and answers at /sandbox/.
"""

import asyncio
import datetime
import json
import os
import pickle
import select
import signal
import subprocess
import threading
import unittest
import urllib.request

import groat

API = os.environ["GROAT_TEST_API"]


def token_requests() -> int:
    """How many tokens the authorization server was asked for."""
    with urllib.request.urlopen(API + "/sandbox/log?path=/token", timeout=30) as answer:
        count: int = json.load(answer)["count"]
        return count


class Tokens(unittest.TestCase):
    def test_a_token_from_memory(self) -> None:
        first = groat.get("work")
        before = token_requests()
        self.assertEqual(groat.token("work"), first.access_token)
        self.assertEqual(groat.header("work"), {"Authorization": "Bearer " + first.access_token})
        self.assertEqual((first.profile, first.token_type, first.static), ("work", "Bearer", False))
        self.assertEqual(token_requests(), before)
        self.assertNotIn(first.access_token, repr(first))
        self.assertRaises(TypeError, pickle.dumps, first)

    def test_a_refused_token_is_replaced(self) -> None:
        old = groat.token("work")
        new = groat.reject(old, "work")
        self.assertNotEqual(new.access_token, old)
        self.assertEqual(groat.token("work"), new.access_token)

    def test_an_error_is_two_lines(self) -> None:
        with self.assertRaises(groat.UnknownProfile) as caught:
            groat.token("home")
        e = caught.exception
        self.assertEqual(str(e), 'there is no profile "home"\nhint: groat list')
        self.assertEqual((e.kind, e.hint, e.code), ("unknown_profile", "groat list", -32005))
        shown = ['groat: error: there is no profile "home"', "groat: hint: groat list"]
        self.assertEqual(e._render_traceback_(), shown)
        again = pickle.loads(pickle.dumps(e))
        self.assertEqual((type(again), str(again), again.code), (type(e), str(e), e.code))

    def test_listings(self) -> None:
        self.assertEqual([p["profile"] for p in groat.profiles()], ["work"])
        self.assertEqual(groat.status("work")["profiles"][0]["profile"], "work")
        self.assertIs(groat.ready("work"), True)
        self.assertIs(groat.ready("home"), False)


def kill() -> None:
    """Kills the groatd that runs, and waits for its end."""
    pid = groat.status()["pid"]
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([process], [], [], 60)
    os.close(process)


class Restarts(unittest.TestCase):
    def test_a_groatd_that_hands_over(self) -> None:
        token, pid = groat.token("work"), groat.status()["pid"]
        subprocess.run(["groat", "restart"], check=True, capture_output=True)
        self.assertEqual(groat.token("work"), token)
        self.assertNotEqual(groat.status()["pid"], pid)

    def test_a_groatd_that_is_killed(self) -> None:
        token, pid = groat.token("work"), groat.status()["pid"]
        kill()
        got: list[str] = []
        threads = [threading.Thread(target=lambda: got.append(groat.token("work"))) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual((len(got), len(set(got))), (4, 1))
        self.assertNotEqual((got[0], groat.status()["pid"]), (token, pid))
        kill()
        self.assertNotEqual(asyncio.run(groat.async_token("work")), got[0])


class Trouble(unittest.TestCase):
    def test_a_method_that_groatd_does_not_know(self) -> None:
        with self.assertRaises(groat.ProtocolError) as caught:
            groat.request("mint")
        self.assertEqual((caught.exception.code, caught.exception.hint), (-32601, "groat restart"))

    def test_a_promise_that_cannot_be_kept(self) -> None:
        with self.assertRaises(groat.UsageError) as caught:
            groat.token("work", min_ttl=100_000)
        most = caught.exception.data["max_min_ttl"]
        self.assertEqual(caught.exception.hint, f"groat get work --min-ttl {most}s")
        self.assertRaises(ValueError, groat.token, "../work")
        for wrong in ("10m", datetime.timedelta(minutes=10), float("nan"), float("inf"), "600", [1]):
            with self.assertRaisesRegex(groat.UsageError, "^min_ttl is a number of seconds, such as 600$"):
                groat.token("work", min_ttl=wrong)  # type: ignore[arg-type]
            with self.assertRaisesRegex(groat.UsageError, "^timeout is a number of seconds, such as 600$"):
                groat.header("work", timeout=wrong)  # type: ignore[arg-type]

    def test_a_locked_keystore(self) -> None:
        def run(*command: str) -> None:
            subprocess.run(command, input=b"four words and more", check=True, capture_output=True)

        run("groat", "keystore", "move", "sealed", "--passphrase-stdin")
        kill()
        with self.assertRaises(groat.Locked) as caught:
            groat.token("work")
        self.assertEqual(caught.exception.hint, "groat unlock")
        self.assertIs(groat.ready("work"), False)
        run("groat", "unlock", "--passphrase-stdin")
        self.assertIs(groat.ready("work"), True)

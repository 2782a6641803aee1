"""Signing in, and what a notebook shows, without a kernel; packaging/pages has one. The profile work is signed in."""

import contextlib
import io
import os
import re
import subprocess
import sys
import unittest
from typing import Any
from unittest import mock

import groat

API = os.environ["GROAT_TEST_API"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


class SigningIn(unittest.TestCase):
    def test_a_profile_that_is_signed_in_is_proven(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            done = groat.login("work")
        self.assertEqual((done.profile, done.outcome, done.created), ("work", "already_signed_in", False))
        self.assertRegex(str(done), "^already signed in: profile work at http://127")
        self.assertEqual(said.getvalue(), str(done) + "\n")

    def test_two_calls(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            groat.login_start("work")
            groat.login_start("work", api=API)  # anew
            done = groat.login_finish()
        self.assertEqual(done.outcome, "already_signed_in")
        for names, said in (
            ([], "groat.login_start has not begun a sign-in in this process, or it was given up\nhint: groat status"),
            (["a b"], "groat.login_start has not begun a sign-in of profile a b in this process, or it was given up\n"
                      "hint: groat login 'a b'"),
        ):  # fmt: skip
            with self.assertRaises(groat.UsageError) as caught:
                groat.login_finish(*names)
            self.assertEqual(str(caught.exception), said)

    def test_two_that_are_under_way(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            groat.login_start("work")
            groat._begun["other"] = groat._begun["work"]
            try:
                with self.assertRaises(groat.UsageError) as caught:
                    groat.login_finish()
            finally:
                del groat._begun["other"]
                groat.login_finish("work")
        said = "sign-ins of work, other are under way: groat.login_finish takes the name of one"
        self.assertEqual(str(caught.exception), said)

    def test_nobody_is_there(self) -> None:
        code = f"import groat; groat.login('x y'.split()[0], token_url='{API}/token', client_id='a b', no_browser=False)"
        done = subprocess.run(
            [sys.executable, "-B", "-c", code], env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "protocol/python")},
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, timeout=60, check=False,
        )  # fmt: skip
        *_, error, hint = done.stderr.decode().splitlines()
        self.assertRegex(error, r'^groat\.LoginRequired: Client secret of "a b", for 127.*: nobody can type it here$')
        self.assertEqual(hint, f"hint: groat login x --token-url {API}/token --client-id 'a b'")

    def test_a_profile_that_is_forgotten(self) -> None:
        with self.assertRaises(groat.UnknownProfile):
            groat.logout("nowhere")

    def test_flags_in_a_sentence_are_parameters(self) -> None:
        for said, is_now in (
            ("name the client with --client-id", "name the client with client_id"),
            ("--api is another; --secret-stdin is not", "api is another; --secret-stdin is not"),
            ("one that exists signs in by --grant client_credentials", 'one that exists signs in by '
             'grant="client_credentials"'),
        ):  # fmt: skip
            self.assertEqual(groat._without_flags(said), is_now)
        with self.assertRaisesRegex(groat.UsageError, "with client_id\n"), contextlib.redirect_stderr(io.StringIO()):
            groat.login("ee", provider="google")
        with self.assertRaisesRegex(groat.UsageError, "with --client-id\n"):
            groat._magic("login ee --provider google")

    def test_a_keystore_that_is_open(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            groat.unlock()
        self.assertEqual(said.getvalue(), "keystore: sealed (key: file), ok\n")

    def test_a_secret_in_a_call_is_refused(self) -> None:
        for name in ("password", "client_secret", "api_key", "token", "secret"):
            with self.assertRaises(groat.UsageError) as caught:
                groat.login("work", **{name: "dummy.secret"})
            self.assertNotIn("dummy", str(caught.exception))

    def test_a_parameter_that_there_is_not(self) -> None:
        for name, near in (("usrname", "; username is one"), ("apis", "; api is one"), ("colour", "")):
            with self.assertRaises(groat.UsageError) as caught:
                groat.login("work", **{name: "x"})
            said = f"there is no parameter {name} of a sign-in{near}\nhint: groat login --help"
            self.assertEqual(str(caught.exception), said)

    def test_the_parameters_are_those_of_the_protocol(self) -> None:
        with open(os.path.join(ROOT, "protocol/PROTOCOL.md"), encoding="utf-8") as page:
            text = page.read()
        table = text.partition("\n### login\n")[2].partition("| parameter | |")[2].partition("\n\n")[0]
        rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        names = {name for row in rows for name in re.findall("`([a-z_]+)`", row)}
        self.assertEqual(names, groat._LOGIN | {"profile", "confirm"})


class Magic(unittest.TestCase):
    def test_the_flags_are_those_of_groat_login(self) -> None:
        self.assertEqual(
            groat._parameters("--provider spatiafi --api=https://a --api https://b --no-browser --set k=v".split()),
            {"provider": "spatiafi", "resources": ["https://a", "https://b"], "no_browser": True, "set": {"k": "v"}},
        )
        for word, value in (("--replace", True), ("--replace=true", True), ("--replace=F", False), ("--replace=0", False)):
            self.assertEqual(groat._parameters([word]), {"replace": value})
        for words in ("--secret", "--secret-stdin", "--json", "x", "--Provider a", "--replace=no", "--replace=", "--api",
                      "--no-browser=no"):  # fmt: skip
            self.assertRaises(groat.UsageError, groat._parameters, words.split())

    def test_a_parameter_as_a_flag(self) -> None:
        for name, value, flag in (
            ("resources", ["https://a", "https://b c"], " --api https://a --api 'https://b c'"),
            ("set", {"k": "v"}, " --set k=v"),
            ("no_browser", True, " --no-browser"),
            ("secret", True, ""),
        ):
            self.assertEqual(groat._flag(name, value), flag)

    def test_it_is_registered(self) -> None:
        found = []

        class Shell:
            def register_magic_function(self, f: Any, kind: str, name: str) -> None:
                found.append((f, kind, name))

        groat.load_ipython_extension(Shell())
        self.assertEqual(found, [(groat._magic, "line", "groat")])
        self.assertRegex(repr(groat._magic("status work")), r"^profile +state .*\nwork +fresh +good for ")
        self.assertRegex(repr(groat._magic("")), r"\nwork ")
        for line in ("unlock now", "status --json", "login --provider x", "logout", "list work", "get work",
                     "network x", "keystore use memory", "'"):  # fmt: skip
            self.assertRaises(groat.UsageError, groat._magic, line)
        with self.assertRaisesRegex(groat.UsageError, "^'email' is no flag of %groat login: what has blanks is quoted"):
            groat._magic("login work --scope openid email")

    def test_what_groat_lists(self) -> None:
        at = re.escape(API.replace("http://", ""))
        listed = repr(groat._magic("list"))
        self.assertRegex(listed, rf"^profile +provider +account +server +APIs\nwork .*{at} +http://{at}$")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            for line in ("login", "login --help", "network", "profile show work", "keystore"):
                groat._magic(line)
        keystore = "\nkeystore: sealed (key: file), ok"
        for text in ("sign in:           groat login NAME", "Usage:\n  groat login", "proxy", API, keystore):
            self.assertIn(text, said.getvalue())
        self.assertRegex(repr(groat._Whoami({"sub": 5, "b": "\x1b"})), "^ *\nb +\ufffd\nsub +5$")

    def test_a_hint_as_a_cell_takes_it(self) -> None:
        cells = {  # fmt: skip
            "groat list": "%groat list", "groat login": "%groat login", "groat login --help": "%groat login --help",
            "groat unlock": "%groat unlock", "groat whoami work": "%groat whoami work",
            "groat login a --keystore passphrase": "%groat login a --keystore passphrase",
            "groat network": "%groat network", "groat keystore": "%groat keystore",
            "groat logout work --yes": "%groat logout work --yes",
            "export no_proxy='a b'": "%env no_proxy=a b", 'export no_proxy="$no_proxy,a"': "%env no_proxy=b,a",
        }
        for hint in (
            "groat get work --min-ttl 838s", "groat keystore use sealed --passphrase", "groat login a && groat status",
            "groat network set proxy $https_proxy", "groat 'a", "groat", "", "unset GROAT_SOCKET", "https://a/b",
        ):  # fmt: skip
            cells[hint] = hint
        for hint, cell in cells.items():
            self.assertEqual(groat._as_typed(hint), hint)
            no_proxy = mock.patch.dict(os.environ, no_proxy="b")
            with no_proxy, mock.patch.multiple(groat, _loaded=True, _somebody=lambda: True):
                self.assertEqual(groat._as_typed(hint), cell)


class Shown(unittest.TestCase):
    def test_a_table_of_states_in_words(self) -> None:
        rows = [  # fmt: skip
            ({"state": "fresh", "expires_in": 838, "renew_in": 560}, ["fresh", "good for 13m58s, renewal in 9m20s"]),
            ({"state": "fresh", "expires_in": 59, "blocked": "temporary", "retry_in": 7},
             ["fresh", "good for 59s, retry in 7s"]),
            ({"state": "fresh", "expires_in": 9000, "blocked": "login_required"}, ["login required", "good for 2h30m"]),
            ({"state": "expired", "expires_at": 5}, ["expired", "has expired"]),
            ({"state": "fresh", "static": True}, ["fresh", "does not expire"]),
            ({"state": "fresh", "expires_in": 59, "last": True}, ["fresh", "good for 59s, the sign-in ends with it"]),
            ({"state": "idle", "broken": True}, ["configuration error", ""]),
            ({"state": "keystore_unavailable"}, ["keystore unavailable", ""]),
        ]
        table = groat._Status({"profiles": [{"profile": "p", **state} for state, _ in rows]})
        self.assertEqual([row[1:3] for row in table.rows], [words for _, words in rows])
        self.assertEqual(repr(groat._Status({})), "no profiles yet\nnext: groat login")
        locked = groat._Status({"profiles": [{"profile": "p"}], "keystore": {"use": "sealed", "state": "locked"}})
        self.assertEqual(repr(locked).splitlines()[:2], ["keystore: sealed, locked", "next: groat unlock"])
        self.assertIn("<div>keystore: sealed, locked</div>", locked._repr_html_())

    def test_foreign_text_is_text(self) -> None:
        foreign = "<script>\x1b[2J\n&"
        for html in (
            groat._Status({"profiles": [{"profile": foreign, "message": foreign}]})._repr_html_(),
            groat._prompt_html({"text": foreign, "url": "javascript:" + foreign, "code": foreign, "qr": foreign}),
            groat._prompt_html({"url": 'https://a/"' + foreign}),
        ):
            self.assertNotRegex(html, "<script|\x1b|\n|<svg|href=\"javascript|/\"&lt;")
        self.assertNotIn("\x1b", groat._prompt_text({"text": foreign, "url": foreign, "code": foreign}))
        self.assertNotIn("\x1b", str(groat.SignIn({"profile": foreign, "issuer": foreign, "expires_in": 3})))

    def test_a_key_that_was_not_tried_out_says_so(self) -> None:
        result = {"profile": "p", "outcome": "signed_in", "grant": "api_key", "issuer": "https://api.example"}
        self.assertNotIn("tried", str(groat.SignIn(result)))
        self.assertIn("not tried out", str(groat.SignIn({**result, "untried": True})))

    def test_a_qr_code_has_square_modules(self) -> None:
        self.assertIn('viewBox="0 0 3 4"', groat._qr_svg("█▀▄\n█ █\n"))
        self.assertIn('<path d="M2 0h1v1h-1zM1 1h1v1h-1zM1 2h1v1h-1zM1 3h1v1h-1z"/>', groat._qr_svg("█▀▄\n█ █\n"))
        self.assertEqual(groat._qr_svg("██\n█"), "")

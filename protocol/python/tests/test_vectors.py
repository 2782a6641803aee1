"""The protocol's vectors (protocol/testdata) that are for clients: PROTOCOL.md, "Test vectors"."""

import base64
import json
import os
import stat
import unittest
from types import SimpleNamespace
from typing import Any

import groat
import standin

TESTDATA = os.path.join(os.path.dirname(__file__), "..", "..", "testdata")


def vectors(name: str) -> list[dict[str, Any]]:
    with open(os.path.join(TESTDATA, name), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Replies(unittest.TestCase):
    def test_replies(self) -> None:
        all_of_them = vectors("replies.jsonl")
        self.assertGreater(len(all_of_them), 20)
        for v in all_of_them:
            with self.subTest(v["name"]):
                self.play(v)

    def play(self, v: dict[str, Any]) -> None:
        def answer(server: standin.Groatd, request: dict[str, Any]) -> None:
            text = base64.b64decode(v.get("base64", ""))
            text += "\n".join(v.get("lines", [])).replace("$ID", str(request["id"])).encode()
            if v.get("lines") and v.get("newline", True):
                text += b"\n"
            text += b"".join(part.encode() * times for part, times in v.get("parts", []))
            server.connections[-1].sendall(text)

        expect = v["expect"]
        with standin.groatd(answer) as server:
            if "result" in expect:
                self.assertEqual(groat.request("export"), expect["result"])
                return
            with self.assertRaises(groat.Error) as caught:
                groat.request("export")  # may not be repeated
            e = caught.exception
            if "broken" in expect:
                self.assertIsInstance(e, (groat.ProtocolError, groat.Unreachable))
                self.assertIsNone(e.code)
                self.assertEqual(e.hint.split()[0], "groat")
            else:
                want = expect["error"]
                self.assertEqual((e.code, e.data.get("max_min_ttl")), (want["code"], want.get("max_min_ttl")))
                self.assertEqual(e.kind if "kind" in want else None, want.get("kind"))
                self.assertEqual(e.retry_after, want.get("retry_after"))
                if "hint" in want:
                    self.assertEqual(e.hint, want["hint"])
                self.assertTrue(e.message)
            self.assertEqual(len(server.requests), 1)


class Places(unittest.TestCase):
    def test_places(self) -> None:
        all_of_them = vectors("places.jsonl")
        self.assertGreater(len(all_of_them), 20)
        for v in all_of_them:
            with self.subTest(v["name"]):
                self.play(v)

    def play(self, v: dict[str, Any]) -> None:
        place = groat._place_of(v["env"], v["uid"])
        self.assertEqual(place.paths, tuple(v["place"][name] for name in ("home", "configuration", "state")))
        self.assertEqual(place.id, v["id"])
        candidates = [directory for _, directory, _ in groat._candidates(v["uid"], v["env"], place)]
        self.assertEqual(candidates, v["candidates"])
        files = groat._Files(v["uid"], v["uid"], self.lstat_of(v["exists"]))
        if v["own"] is None:
            self.assertRaises(groat.ConfigError, groat._sockets, files, v["env"], place)
        else:
            self.assertEqual(groat._sockets(files, v["env"], place), (v["own"], v["plain"]))

    @staticmethod
    def lstat_of(exists: dict[str, str]) -> Any:
        """The file system of a vector: what is not listed and stands above something that is, is root's."""
        there = {"/": (0, 0o755)}
        for path in exists:
            while path != "/":
                path = os.path.dirname(path)
                there[path] = (0, 0o755)
        there.update({path: (int(said.split()[0]), int(said.split()[1], 8)) for path, said in exists.items()})

        def lstat(path: str) -> Any:
            if path not in there:
                raise FileNotFoundError(path)
            uid, mode = there[path]
            return SimpleNamespace(st_uid=uid, st_gid=uid, st_mode=mode | stat.S_IFDIR)

        return lstat

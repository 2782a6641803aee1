"""Processes and clusters, against a groatd with the profile work, which has no token yet; packaging/e2e starts both.

GROAT_TEST_API is the address of the authorization server, which has an API below /api/ and answers at /sandbox/.
"""

import concurrent.futures
import functools
import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import threading
import unittest
import unittest.mock
import urllib.request

import groat

API = os.environ["GROAT_TEST_API"]


def token_requests() -> int:
    """How many tokens the authorization server was asked for."""
    with urllib.request.urlopen(API + "/sandbox/log?path=/token", timeout=30) as answer:
        count: int = json.load(answer)["count"]
        return count


def tell(start: int, other_end: int, out: int, refused: str) -> None:
    """Waits for the start, which is the end of a pipe, and writes the token that this process has then."""
    os.close(other_end)
    os.read(start, 1)
    token = groat.reject(refused, "work").access_token if refused else groat.token("work")
    os.write(out, token.encode() + b"\n")


def crowd(size: int, refused: str = "") -> list[str]:
    """What so many processes have that ask at once, or complain of one token at once."""
    start, go = os.pipe()
    results, out = os.pipe()
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=tell, args=(start, go, out, refused)) for _ in range(size)]
    for p in processes:
        p.start()
    os.close(go)
    os.close(out)
    os.close(start)
    with open(results, encoding="ascii") as lines:
        tokens = lines.read().split()
    for p in processes:
        p.join()
    return tokens


class OneMachine(unittest.TestCase):
    def test_200_processes_cost_one_request(self) -> None:
        groat.status()  # this process has a connection, which is not its children's
        before = token_requests()
        tokens = crowd(200)
        self.assertEqual((len(tokens), len(set(tokens)), token_requests()), (200, 1, before + 1))
        renewed = crowd(50, refused=tokens[0])
        self.assertEqual((len(renewed), len(set(renewed)), token_requests()), (50, 1, before + 2))
        self.assertNotEqual(renewed[0], tokens[0])
        self.assertEqual(groat.token("work"), renewed[0])

        with concurrent.futures.ProcessPoolExecutor(8) as pool:
            self.assertEqual(set(pool.map(groat.token, ["work"] * 200)), {renewed[0]})
            with self.assertRaises(groat.UnknownProfile) as caught:  # an error of a worker is the caller's
                pool.submit(groat.token, "home").result()
            self.assertEqual(caught.exception.hint, "groat list")
        with multiprocessing.get_context("spawn").Pool(2) as spawned:
            self.assertEqual(set(spawned.map(groat.token, ["work"] * 8)), {renewed[0]})
        import dask
        import joblib

        jobs = joblib.Parallel(n_jobs=2)(joblib.delayed(groat.token)("work") for _ in range(8))
        tasks = [dask.delayed(groat.token)("work") for _ in range(8)]
        done = dask.compute(*tasks, scheduler="processes", num_workers=2)
        self.assertEqual(set((*jobs, *done)), {renewed[0]})
        self.assertEqual(token_requests(), before + 2)

    def test_a_full_queue_is_waited_for(self) -> None:
        path = os.path.join(os.environ["HOME"], "full.sock")
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
            listener.bind(path)
            listener.listen(0)
            first.connect(path)  # the queue holds one

            def serve() -> None:
                for _ in range(2):
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rwb") as lines:
                        for line in lines:
                            answer = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"served": True}}
                            lines.write(json.dumps(answer).encode() + b"\n")
                            lines.flush()
                            return

            server = threading.Thread(target=serve, daemon=True)
            real = socket.socket.connect

            def connect(self: socket.socket, address: str) -> None:
                try:
                    real(self, address)
                except BlockingIOError:
                    if not server.is_alive():
                        first.close()
                        server.start()
                    raise

            with unittest.mock.patch.dict(os.environ, GROAT_SOCKET=path):
                with unittest.mock.patch.object(socket.socket, "connect", connect):
                    self.assertEqual(groat.request("hello"), {"served": True})
            server.join()

    def test_what_is_pickled_is_the_name(self) -> None:
        pickled = pickle.dumps(groat.auth("work"))
        self.assertIn(b"work", pickled)
        self.assertNotIn(groat.token("work").encode(), pickled)

    def test_a_worker_without_groat(self) -> None:
        pages = "hint: https://github.com/groat-dev/groat/blob/main/packaging/"
        path = os.path.join(os.environ["HOME"], "worker")
        os.mkdir(path, mode=0o700)
        program = "import pickle, sys; sys.path.insert(0, sys.argv[1])\nimport groat; groat._INSTALLED = ()\n"
        program += "pickle.loads(bytes.fromhex(sys.argv[2]))()"
        argv = [sys.executable, "-I", "-B", "-c", program, os.path.dirname(os.path.dirname(groat.__file__))]
        work = pickle.dumps(functools.partial(groat.token, "work")).hex()
        env = {"HOME": path, "XDG_RUNTIME_DIR": path, "PATH": path}
        forwarded = {"GROAT_SOCKET": path + "/gone", "GROAT_NO_AUTOSTART": "1"}
        for more, said, page in (
            ({}, f"groatd does not run, and groat, which starts it, {groat._NOT_FOUND}\n", "INSTALL.md\n"),
            (forwarded, f"groatd does not run at {path}/gone, and GROAT_NO_AUTOSTART forbids starting it\n",
             "ELSEWHERE.md#clusters\n"),
        ):  # fmt: skip
            done = subprocess.run(argv + [work], env={**env, **more}, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertTrue(done.stderr.endswith("groat.Unreachable: " + said + pages + page), done.stderr)

"""Measures the Python module beside a bare socket, its own imports, and authlib: main.go has the groatd and the echo.

    python3 -I measure.py MODULE-DIRECTORY ECHO-SOCKET PROFILE ANSWER-BYTES RUNS

TOKEN_URL and CLIENT_SECRET are authlib's.
"""

import os
import socket
import subprocess
import sys
import time

directory, echo_path, profile = sys.argv[1:4]
length, runs = map(int, sys.argv[4:])
sys.path.insert(0, directory)

import groat  # noqa: E402

ENTER = f"import sys; sys.path.insert(0, {directory!r}); "
ONE_TOKEN = """
import os, re
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT
url = os.environ["TOKEN_URL"]
method = ClientSecretJWT(re.sub(":[0-9]+/", "/", url))
session = OAuth2Session("bench-client", os.environ["CLIENT_SECRET"], token_endpoint_auth_method=method)
"""
ASK = 'session.fetch_token(url, grant_type="client_credentials")["access_token"]'


def measure(programs, times):
    """Runs each in turn, so that what else the machine does falls on all alike; returns the sorted seconds of each.

    A program that returns a float has measured itself.
    """
    took = {name: [] for name in programs}
    for i in range(times + times // 20 + 1):
        for name, program in programs.items():
            began = time.perf_counter()
            own = program()
            elapsed = time.perf_counter() - began
            if i > times // 20:
                took[name].append(own if isinstance(own, float) else elapsed)
    return {name: sorted(seconds) for name, seconds in took.items()}


def report(title, floor, took):
    """Prints medians, the spread, and the ratios to the first."""
    first = next(iter(took.values()))
    first_median = first[(len(first) - 1) // 2]
    print(f"{title:<48}{'median':>12}{'10 %':>12}{'90 %':>12}{floor:>16}")
    for name, seconds in took.items():
        median, low, high = (seconds[int(q * (len(seconds) - 1))] * 1e3 for q in (0.5, 0.1, 0.9))
        print(f"{name:<48}{median:>10.3f}ms{low:>10.3f}ms{high:>10.3f}ms{median / 1e3 / first_median:>16.2f}")
    print()


def main():
    groat.token(profile)
    line = groat._current().idle[0].ask("token", {"profile": profile})
    bare = socket.socket(socket.AF_UNIX)
    bare.connect(echo_path)

    def echo():
        bare.sendall(line)
        left = length
        while left > 0:
            left -= len(bare.recv(16384))

    session = {}
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    exec(ONE_TOKEN, session)
    ask = compile(ASK, "authlib", "eval")
    calls = {
        f"a bare socket, an echo of {length} bytes": echo,
        "groat.token": lambda: groat.token(profile),
        "groat.get": lambda: groat.get(profile),
    }
    took = measure(calls, runs)
    took.update(measure({"authlib, client_secret_jwt, one request": lambda: eval(ask, session)}, 50))
    report("a call in a Python process", "x echo", took)

    def importing(modules):
        code = f"{ENTER}import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
        return lambda: float(run(code))

    imports = {name: importing(name) for name in ("json, socket", "groat", "requests")}
    report("an import, in a new process", "x json, socket", measure(imports, 40))
    token = f"{ENTER}import groat; groat.token({profile!r})"
    programs = {
        "python3 -I -c pass": lambda: run("pass"),
        "groat.token": lambda: run(token),
        "authlib, client_secret_jwt, one request": lambda: run(ONE_TOKEN + ASK),
    }
    report("a new process", "x nothing", measure(programs, 25))


def run(code):
    return subprocess.run([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, check=True, text=True).stdout


if __name__ == "__main__":
    main()

"""provider_programs.py PROGRAM FILE API SECONDS: a provider's own program, as far as it reads its token file.

This is a stand-in, written from what the packages do and independently of groat: planet-auth 2.3 ("planet"), the
EarthScope SDK 1 ("earthscope") and DeviceCodeFlowSimple of the EarthScope SDK 0.2 ("earthscope-0.2"). The packages
themselves are not run: PyPI is not among what packaging/testing/install.sh can install from.

It calls the API ten times a second for so many SECONDS, and prints each status that is not 200, and "renews" each time
the package would go to the authorization server by itself. At the end it prints "done", if it had four tokens or more.
"""

import base64
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

PROGRAM, FILE, API, SECONDS = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Planet:
    """planet_auth's RefreshingOidcTokenRequestAuthenticator over a FileBackedOidcCredential: one for the whole run."""

    def __init__(self):
        self.refresh_at = 0
        self.data = None

    def load(self):
        data = json.loads(FILE.read_text(encoding="UTF-8"))
        if not any(data.get(name) for name in ("access_token", "id_token", "refresh_token")):
            raise ValueError("no token in the file")
        self.data = data
        body = claims(data["access_token"])
        # Versions differ in which of the two they take first; the earlier one is the harder to keep.
        points = []
        for iat, exp in ((data["_iat"], data["_exp"]), (body["iat"], body["exp"])):
            points.append(int(iat + 3 * (exp - iat) / 4))
        self.refresh_at = min(points)

    def token(self):
        now = int(time.time())
        if now > self.refresh_at:
            self.load()
        if now > self.refresh_at:
            print("renews")
        return self.data["access_token"]


class EarthScope:
    """EarthScopeClient of the SDK 1: it reads its settings once, so a script makes one for each piece of work."""

    threshold = 1  # 60 s of a day are this much of a token of the test

    def token(self):
        tokens = json.loads(FILE.read_text())
        payload = tokens["access_token"].split(".")[1]
        body = json.loads(base64.b64decode(payload + "=="))  # the standard alphabet, as the SDK
        for name in ("aud", "iss", "iat", "exp", "sub"):
            body[name]
        if "client_id" not in body and "azp" not in body:
            raise KeyError("client_id or azp")
        if body["exp"] - time.time() < self.threshold:
            print("renews")
        return tokens["access_token"]


class EarthScope02:
    """DeviceCodeFlowSimple(path).get_access_token_refresh_if_necessary(auto_refresh_threshold=1)."""

    def token(self):
        state = json.loads(FILE.read_text())
        body = claims(state["access_token"])
        if body["exp"] - time.time() < 1:
            print("renews")
        state.get("scope").split()
        return state["access_token"]


def main():
    program = {"planet": Planet, "earthscope": EarthScope, "earthscope-0.2": EarthScope02}[PROGRAM]()
    used = set()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        token = program.token()
        used.add(token)
        request = urllib.request.Request(API, headers={"Authorization": "Bearer " + token})
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as e:
            print(e.code)
        time.sleep(0.1)
    print("done" if len(used) > 3 else f"only {len(used)} tokens")


main()

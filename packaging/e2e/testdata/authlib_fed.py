"""authlib_fed.py API_URL: an authlib session with the tokens of groat, without a client id or a secret.

Calls the API and prints the status. On "call" on standard input it does so again; on "replace" it takes the token that
groat has now, and says whether it is another one.
"""

import json
import subprocess
import sys

from authlib.integrations.requests_client import OAuth2Session


def token():
    return json.loads(subprocess.check_output(["groat", "get", "work", "--output", "json"]))


def call():
    print(session.get(sys.argv[1], timeout=30).status_code, flush=True)


session = OAuth2Session(token=token())
call()
for line in sys.stdin:
    if line == "call\n":
        call()
    elif line == "replace\n":
        old = session.token["access_token"]
        session.token = token()
        print("another token" if session.token["access_token"] != old else "the same token", flush=True)

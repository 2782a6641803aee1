"""oidc_verifier.py ISSUER AUDIENCE: an API that takes ID tokens as a Kubernetes API server does, written with authlib.

It reads the issuer's metadata and keys, listens on a free port of 127.0.0.1, and prints its URL. Each GET answers 200 and
the token's sub where the bearer token is an ID token of the issuer for the audience (OpenID Connect Core §3.1.3.7), and
401 and the reason where it is not. It ends when its standard input does.
"""

import http.server
import sys
import threading

import requests
from authlib.jose import JsonWebKey, JsonWebToken

issuer, audience = sys.argv[1:]
metadata = requests.get(issuer + "/.well-known/openid-configuration", timeout=30).json()
keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())
jwt = JsonWebToken(["RS256", "PS256", "ES256", "EdDSA"])
must = {
    "iss": {"essential": True, "value": issuer},
    "aud": {"essential": True, "value": audience},
    "exp": {"essential": True},
    "iat": {"essential": True},
    "sub": {"essential": True},
}


class API(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            if scheme != "Bearer":
                raise ValueError("no bearer token")
            claims = jwt.decode(token, keys, claims_options=must)
            claims.validate()
            status, answer = 200, claims["sub"]
        except Exception as e:
            status, answer = 401, repr(e)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), API)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("http://127.0.0.1:%d/" % server.server_port, flush=True)
sys.stdin.read()

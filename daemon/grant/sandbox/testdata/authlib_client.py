"""authlib_client.py TOKEN_ENDPOINT API_URL METHOD [ALG], client id and secret on standard input, a line each.

An independent client, authlib's OAuth2Session, fetches a token by METHOD and calls the API with it. Prints one JSON
object: the token's members without the token, and the API's status.
"""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, on loopback
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT

endpoint, api, method, *alg = sys.argv[1:]
client_id, client_secret = sys.stdin.read().split("\n")[:2]
if method == "client_secret_jwt":
    method = ClientSecretJWT(endpoint, alg=alg[0]) if alg else ClientSecretJWT(endpoint)
session = OAuth2Session(
    client_id,
    client_secret,
    token_endpoint_auth_method=method,
    token_endpoint=endpoint,
    grant_type="client_credentials",
)
token = dict(session.fetch_token(endpoint, timeout=30))
assert token.pop("access_token")
answer = session.get(api, timeout=30)
print(json.dumps({"token": token, "status": answer.status_code}))

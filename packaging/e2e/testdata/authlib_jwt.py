"""authlib_jwt.py TOKEN_ENDPOINT API_URL, client id and secret on standard input, a line each.

authlib's ClientSecretJWT session, as SpatiaFi's and Climate Engine's tutorials have it: three tokens, and a call to the
API with each, whose status is printed.
"""

import sys

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT

endpoint, api = sys.argv[1:]
client_id, client_secret = sys.stdin.read().splitlines()
session = OAuth2Session(
    client_id,
    client_secret,
    token_endpoint_auth_method=ClientSecretJWT(endpoint),
    token_endpoint=endpoint,
    grant_type="client_credentials",
)
for _ in range(3):
    session.fetch_token(endpoint, timeout=30)
    print(session.get(api, timeout=30).status_code)

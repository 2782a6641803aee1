"""authlib_person.py: one JSON object on standard input (issuer, metadata, redirect_uri, client_id, and for a client with a
key: private_key, alg). An independent client, authlib, signs a person in with a code and PKCE, verifies the id_token with
the published key, refreshes, calls userinfo, revokes, and finds the refresh token dead. The server must allow without a
form. Prints "done".
"""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, on loopback
import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import jwt
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken

given = json.load(sys.stdin)
meta = requests.get(given["metadata"], timeout=30).json()
assert meta["issuer"] == given["issuer"], meta["issuer"]

method, secret = "none", None
if "private_key" in given:
    secret = given["private_key"]
    method = PrivateKeyJWT(meta["token_endpoint"], alg=given["alg"])
session = OAuth2Session(
    given["client_id"],
    secret,
    scope="openid email offline_access",
    redirect_uri=given["redirect_uri"],
    code_challenge_method="S256",
    token_endpoint_auth_method=method,
    revocation_endpoint_auth_method=method,
)
verifier, nonce = generate_token(64), generate_token(20)
url, state = session.create_authorization_url(meta["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
back = requests.get(url, allow_redirects=False, timeout=30).headers["Location"]
token = session.fetch_token(meta["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier, timeout=30)

keys = requests.get(meta["jwks_uri"], timeout=30).json()
claims = jwt.decode(
    token["id_token"],
    keys,
    claims_cls=CodeIDToken,
    claims_options={"iss": {"value": given["issuer"]}, "aud": {"value": given["client_id"]}},
    claims_params={"nonce": nonce, "client_id": given["client_id"], "access_token": token["access_token"]},
)
claims.validate()

old = token["refresh_token"]
token = session.refresh_token(meta["token_endpoint"], refresh_token=old, timeout=30)
me = session.get(meta["userinfo_endpoint"], timeout=30).json()
assert me["sub"] == claims["sub"] and me["email"], me

last = token.get("refresh_token") or old
answer = session.revoke_token(meta["revocation_endpoint"], token=last, token_type_hint="refresh_token", timeout=30)
assert answer.status_code == 200, answer.text
try:
    session.refresh_token(meta["token_endpoint"], refresh_token=last, timeout=30)
    sys.exit("a revoked refresh token is accepted")
except OAuthError as error:
    assert error.error == "invalid_grant", error
print("done")

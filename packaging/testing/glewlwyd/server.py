"""Glewlwyd, as Debian has it, as an authorization server for groat's tests: its OpenID Connect plugin, with clients of
our own, which its administration API takes. Nobody who wrote groat wrote its rules.

It listens on a free loopback port, prints "READY <issuer> <address of what only tests ask for>" when it answers, keeps
everything in a temporary directory, and ends when this program's standard input does, so that it cannot outlive the
test that started it. The issuer has a path. Access tokens live for a quarter of an hour, and are good until then
whatever is renewed. A refresh token is good once, and its second use ends the session. It takes id and secret in HTTP
Basic as they are, refuses a wrong secret with an empty 403 and an ended session with an empty 400, and takes assertions
for its token endpoint.

Its clients are called after how they authenticate (RFC 7591 section 2) and share one secret, new at each run:
client_secret_basic, client_secret_post, client_secret_jwt (HS256), none, and those that a test adds with a key. Each
has every grant that it can have, and a redirect URI with a port of its own, since none but that is taken. One person
signs in, alice.

    GET  /test/config    {secret, person, password, api, redirects}: api takes access tokens of persons, and redirects
                         are the clients' redirect URIs
    POST /test/client    {id, key}: a client that authenticates by private_key_jwt, with its public key, PEM
    POST /test/secret    {}: the clients' secret is another one, which it answers as {secret}
    POST /test/end       {}: every session has ended
    POST /test/person    {url}: the person signs in, allows everything and goes to that address: {text, url} of the end
"""
import ctypes
import http.cookiejar
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TABLES = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
PERSON, PASSWORD = "alice", secrets.token_hex(16)
SCOPES = ["openid", "read", "write"]
GRANTS = ["code", "refresh_token", "client_credentials", "password", "device_authorization"]
METHODS = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "none"]


def new_secret():
    # Characters that are another thing where they are form-encoded, in the middle.
    return f"{secrets.token_hex(16)}+/%&={secrets.token_hex(16)}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Visitor:
    """Visitor speaks to glewlwyd as a browser does: it keeps cookies and follows redirects."""

    def __init__(self, base):
        self.base = base
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPCookieProcessor(jar))

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self.base, path), data, method=method,
                                         headers={"Content-Type": "application/json"} if data else {})
        try:
            with self.opener.open(request, timeout=60) as response:
                return response.read().decode(), response.geturl()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error}: {error.read().decode()}") from error

    def sign_in(self, username, password):
        self.ask("POST", "/api/auth/", {"username": username, "password": password})


class Glewlwyd:
    """Glewlwyd is the running server and what is known of it."""

    def __init__(self, directory):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.base}/api/oidc"
        self.secret, self.clients = new_secret(), {}
        self.database = os.path.join(directory, "db")
        with open(TABLES) as tables, sqlite3.connect(self.database) as db:
            db.executescript("PRAGMA synchronous = OFF;" + tables.read())
            db.execute("INSERT INTO g_plugin_module_instance (gpmi_module, gpmi_name, gpmi_display_name, gpmi_parameters) "
                       "VALUES ('oidc', 'oidc', 'oidc', ?)", (json.dumps(self.plugin()),))
        db.close()
        conf = os.path.join(directory, "glewlwyd.conf")
        with open(conf, "w") as f:
            f.write(f"""
port = {self.port}
bind_address = "127.0.0.1"
external_url = "{self.base}"
login_url = "login.html"
api_prefix = "api"
static_files_path = "/usr/share/glewlwyd/webapp/"
log_mode = "console"
log_level = "INFO"
cookie_domain = "127.0.0.1"
cookie_secure = 0
session_expiration = 86400
session_key = "GLEWLWYD2_SESSION_ID"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "/usr/lib/glewlwyd/user"
user_middleware_module_path = "/usr/lib/glewlwyd/user_middleware"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3" path = "{self.database}" }};
""")
        die_with_us = ctypes.CDLL(None).prctl
        self.process = subprocess.Popen(
            ["/usr/bin/glewlwyd", "--config-file=" + conf], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
            preexec_fn=lambda: die_with_us(1, signal.SIGKILL))  # PR_SET_PDEATHSIG

    def plugin(self):
        """plugin is the configuration of the OpenID Connect plugin. It is there when glewlwyd starts: one that is added
        while it runs may lock it up."""
        return {
            "iss": self.issuer, "jwt-type": "sha", "jwt-key-size": "256", "key": secrets.token_hex(32),
            "access-token-duration": 900, "refresh-token-duration": 86400, "code-duration": 60,
            "refresh-token-one-use": "always", "refresh-token-rolling": True, "allow-non-oidc": True,
            "auth-type-code-enabled": True, "auth-type-code-revoke-replayed": True,
            "auth-type-token-enabled": False, "auth-type-id-token-enabled": True, "auth-type-none-enabled": False,
            "auth-type-password-enabled": True, "auth-type-client-enabled": True,
            "auth-type-device-enabled": True, "auth-type-refresh-enabled": True,
            "device-authorization-expiration": 600, "device-authorization-interval": 1,
            "pkce-allowed": True, "pkce-method-plain-allowed": False,
            "introspection-revocation-allowed": True, "introspection-revocation-allow-target-client": True,
            "oauth-par-allowed": True, "oauth-par-required": False, "oauth-par-duration": 90,
            "oauth-par-request_uri-prefix": "urn:ietf:params:oauth:request_uri:",
            "oauth-as-iss-id": True,
            "request-parameter-allow": True, "request-maximum-exp": 3600,
            "client-pubkey-parameter": "pubkey", "client-jwks-parameter": "jwks",
            "session-management-allowed": False, "subject-type": "public",
            "allowed-scope": SCOPES,
            "name-claim": "no", "email-claim": "no", "scope-claim": "no",
            "address-claim": {"type": "no"},
        }

    def ready(self):
        """ready waits until it listens, and has what it writes told on. It says that it has started a little before."""
        threading.Thread(target=shutil.copyfileobj, args=(self.process.stdout, sys.stderr, 1), daemon=True).start()
        while self.process.poll() is None:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("glewlwyd has ended")

    def set_up(self):
        self.admin = Visitor(self.base)
        self.admin.sign_in("admin", "password")
        for scope in SCOPES:
            if scope != "openid":
                self.admin.ask("POST", "/api/scope/", {"name": scope, "display_name": scope, "password_required": True,
                                                       "password_max_age": 0, "scheme": {}})
        self.admin.ask("POST", "/api/user/", {"username": PERSON, "name": PERSON, "enabled": True,
                                              "email": f"{PERSON}@example.test", "password": PASSWORD,
                                              "scope": SCOPES + ["g_profile"]})
        for method in METHODS:
            self.add(method, {} if method == "none" else {"client_secret": self.secret}, method)

    def add(self, name, more, method):
        client = {"client_id": name, "name": name, "enabled": True, "confidential": method != "none", "scope": SCOPES,
                  "redirect_uri": [f"http://127.0.0.1:{free_port()}/callback"], "authorization_type": GRANTS,
                  "token_endpoint_auth_method": [method], **more}
        self.admin.ask("POST", "/api/client/", client)
        self.clients[name] = client

    def change_secret(self):
        self.secret = new_secret()
        for name, client in self.clients.items():
            if "client_secret" in client:
                client["client_secret"] = self.secret
                self.admin.ask("PUT", "/api/client/" + name, client)

    def end(self):
        with sqlite3.connect(self.database, timeout=60) as db:
            db.execute("UPDATE gpo_refresh_token SET gpor_enabled = 0")
        db.close()

    def person(self, url):
        """person signs in as its pages do, which are a program for browsers, and goes on where that would."""
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        client = asked.get("client_id", [""])[0]
        visitor = Visitor(self.base)
        visitor.sign_in(PERSON, PASSWORD)
        for name in [client] if client else self.clients:
            visitor.ask("PUT", "/api/auth/grant/" + name, {"scope": " ".join(SCOPES)})
        return visitor.ask("GET", url + "&g_continue")


class Tests(BaseHTTPRequestHandler):
    """Tests answers the paths that only tests know."""

    def do_GET(self):
        g = self.server.glewlwyd
        self.answer({"secret": g.secret, "person": PERSON, "password": PASSWORD, "api": g.issuer + "/userinfo",
                     "redirects": {name: c["redirect_uri"][0] for name, c in g.clients.items()}})

    def do_POST(self):
        g = self.server.glewlwyd
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/test/client":
            g.add(sent["id"], {"pubkey": sent["key"]}, "private_key_jwt")
            self.answer({})
        elif self.path == "/test/secret":
            g.change_secret()
            self.answer({"secret": g.secret})
        elif self.path == "/test/end":
            g.end()
            self.answer({})
        elif self.path == "/test/person":
            text, url = g.person(sent["url"])
            self.answer({"text": text, "url": url})
        else:
            self.send_error(404)

    def answer(self, what):
        text = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def main():
    directory = tempfile.mkdtemp()
    glewlwyd = None
    try:
        glewlwyd = Glewlwyd(directory)
        glewlwyd.ready()
        glewlwyd.set_up()
        tests = ThreadingHTTPServer(("127.0.0.1", 0), Tests)
        tests.glewlwyd, tests.daemon_threads = glewlwyd, True
        threading.Thread(target=tests.serve_forever, daemon=True).start()
        print(f"READY {glewlwyd.issuer} http://127.0.0.1:{tests.server_port}", flush=True)
        sys.stdin.buffer.read()
    finally:
        if glewlwyd:
            glewlwyd.process.terminate()
            try:
                glewlwyd.process.wait(10)
            except subprocess.TimeoutExpired:
                glewlwyd.process.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()

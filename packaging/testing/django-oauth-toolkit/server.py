"""django-oauth-toolkit, as Debian has it, as an authorization server for groat's tests: its views, models and pages,
with clients of our own. Nobody who wrote groat wrote its rules.

It listens on a free loopback port, prints "READY <issuer>" when it answers, keeps everything in a temporary directory,
and ends when its standard input does, so that it cannot outlive the test that started it. The issuer has a path, and
its metadata stands behind a redirect that adds a slash. Nothing says that it could revoke.
The use of a refresh token ends it, and the access token that came with it.

A client has one grant (Application.authorization_grant_type), so the clients are called after that:
authorization-code, client-credentials and password, which have one secret among them, new at each run, and take it by
Basic and in the body; and public, for authorization-code without a secret. One person signs in, alice.

    GET  /test/config    {secret, person, password, api}: api takes access tokens, of persons and of clients
    POST /test/secret    {}: the clients' secret is another one, which it answers as {secret}
    POST /test/end       {}: every session has ended
"""
import os
import secrets
import shutil
import sys
import tempfile
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from jwcrypto import jwk

PERSON, PASSWORD = "alice", secrets.token_hex(16)
LOGIN = """<!doctype html><title>test</title><form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>"""


def new_secret():
    # Characters that RFC 6749 section 2.3.1 has form-encoded inside Basic, in the middle.
    return f"{secrets.token_hex(16)}:+/%&= {secrets.token_hex(16)}"


def configure(directory):
    settings.configure(
        SECRET_KEY=secrets.token_hex(32),
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(directory, "db"),
                               "OPTIONS": {"timeout": 60}}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
                    "django.middleware.csrf.CsrfViewMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": False, "OPTIONS": {
            "context_processors": ["django.template.context_processors.request",
                                   "django.contrib.auth.context_processors.auth"],
            "loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
                        "django.template.loaders.app_directories.Loader"]}}],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the quick one
        # No history to go through: the tables are made as they are now.
        MIGRATION_MODULES={app: None for app in ("auth", "contenttypes", "sessions", "oauth2_provider")},
        LOGIN_URL="/login/",
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": jwk.JWK.generate(kty="RSA", size=2048).export_to_pem(private_key=True,
                                                                                         password=None).decode(),
            "ACCESS_TOKEN_EXPIRE_SECONDS": 900,
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "who you are", "read": "read", "write": "write"},
            "DEFAULT_SCOPES": ["read", "write"],
        },
    )
    django.setup()


def fill():
    """fill makes the tables, the person and the clients."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", run_syncdb=True, verbosity=0)
    get_user_model().objects.create_user(PERSON, f"{PERSON}@example.test", PASSWORD)
    for name, client_type, grant in [
        ("authorization-code", "confidential", "authorization-code"),
        ("public", "public", "authorization-code"),
        ("client-credentials", "confidential", "client-credentials"),
        ("password", "confidential", "password"),
    ]:
        Application.objects.create(
            client_id=name, name=name, client_type=client_type, authorization_grant_type=grant,
            client_secret=SECRET if client_type == "confidential" else "",
            algorithm="RS256" if grant == "authorization-code" else "",
            redirect_uris="http://127.0.0.1/callback",  # with any port (RFC 8252 section 7.3)
        )


SECRET = new_secret()


def test_config(request):
    from django.http import JsonResponse

    return JsonResponse({"secret": SECRET, "person": PERSON, "password": PASSWORD,
                         "api": request.build_absolute_uri("/api/")})


def test_secret(request):
    global SECRET
    from django.http import JsonResponse
    from oauth2_provider.models import Application

    SECRET = new_secret()
    Application.objects.filter(client_type="confidential").update(client_secret=SECRET)
    return JsonResponse({"secret": SECRET})


def test_end(request):
    from django.http import HttpResponse
    from oauth2_provider.models import RefreshToken

    for token in RefreshToken.objects.filter(revoked=None):
        token.revoke()
    return HttpResponse(b"")


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def one_by_one(application):
    """one_by_one keeps two requests from writing to sqlite at once, which it would refuse one of."""
    lock = threading.Lock()

    def answer(environ, start_response):
        with lock:
            return application(environ, start_response)

    return answer


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main():
    directory = tempfile.mkdtemp()
    try:
        configure(directory)
        fill()
        from django.contrib.auth.views import LoginView
        from django.core.wsgi import get_wsgi_application
        from django.urls import include, path
        from django.http import HttpResponse
        from django.views.decorators.csrf import csrf_exempt
        from oauth2_provider.decorators import protected_resource

        global urlpatterns
        urlpatterns = [
            path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
            path("login/", LoginView.as_view()),
            path("api/", protected_resource()(lambda request: HttpResponse(b""))),
            path("test/config", test_config),
            path("test/secret", csrf_exempt(test_secret)),
            path("test/end", csrf_exempt(test_end)),
        ]
        server = make_server("127.0.0.1", 0, one_by_one(get_wsgi_application()), Server, Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"READY http://127.0.0.1:{server.server_port}/o", flush=True)
        sys.stdin.buffer.read()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()

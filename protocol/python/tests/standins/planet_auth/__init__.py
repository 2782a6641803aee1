"""Stands in for planet-auth 2.3.0: the container of an authentication, and authenticators of requests."""

import abc
import pathlib

import httpx
import requests.auth


class AuthException(Exception):
    pass


class ClientConfig:
    def __init__(self, client_type):
        self.client_type = client_type

    def storage_provider(self):
        return None


class RequestAuthenticator(requests.auth.AuthBase, httpx.Auth, abc.ABC):
    def __init__(self, token_body=None, token_prefix="Bearer", auth_header="Authorization"):
        self._token_body, self._token_prefix, self._auth_header = token_body, token_prefix, auth_header

    @abc.abstractmethod
    def pre_request_hook(self):
        """Is called before each request, and leaves what to send in the three attributes."""

    def _sign(self, headers):
        self.pre_request_hook()
        if self._token_body:
            prefix = self._token_prefix + " " if self._token_prefix else ""
            headers[self._auth_header] = prefix + self._token_body
        if "X-Planet-App" not in headers:
            headers["X-Planet-App"] = "planet-auth-library-2.3.0"

    def __call__(self, r):
        self._sign(r.headers)
        return r

    def auth_flow(self, request):
        self._sign(request.headers)
        yield request


class CredentialRequestAuthenticator(RequestAuthenticator, abc.ABC):
    def __init__(self, credential=None, **kwargs):
        super().__init__(**kwargs)
        self._credential = credential

    def update_credential(self, new_credential):
        self._credential, self._token_body = new_credential, None

    def credential(self, refresh_if_needed=False):
        return self._credential

    def is_initialized(self):
        return self._credential is not None


class _NoAuthenticator(CredentialRequestAuthenticator):
    def pre_request_hook(self):
        pass


class _NoClient:
    def __init__(self, config):
        self._config = config

    def config(self):
        return self._config

    def login(self, **kwargs):
        return object()

    def can_login_unattended(self):
        return True

    def default_request_authenticator(self, credential):
        return _NoAuthenticator(token_body=None)


class Auth:
    def __init__(self, auth_client, request_authenticator, token_file_path=None, profile_name=None):
        if not isinstance(request_authenticator, CredentialRequestAuthenticator):
            raise AuthException("no request authenticator")
        self._storage_provider = auth_client.config().storage_provider()
        self._auth_client, self._request_authenticator = auth_client, request_authenticator
        self._token_file_path = pathlib.Path(token_file_path) if token_file_path else None
        self._profile_name = profile_name

    @staticmethod
    def initialize_from_config_dict(client_config, initial_token_data=None, token_file=None, profile_name=None):
        if client_config.get("client_type") != "none":
            raise AuthException("this stand-in has the client type none only")
        client = _NoClient(ClientConfig("none"))
        return Auth(client, client.default_request_authenticator(None), token_file, profile_name)

    def auth_client(self):
        return self._auth_client

    def request_authenticator(self):
        return self._request_authenticator

    def profile_name(self):
        return self._profile_name

    def request_authenticator_is_ready(self):
        return self._request_authenticator.is_initialized() or self._auth_client.can_login_unattended()

    def login(self, **kwargs):
        credential = self._auth_client.login(**kwargs)
        self._request_authenticator.update_credential(credential)
        return credential

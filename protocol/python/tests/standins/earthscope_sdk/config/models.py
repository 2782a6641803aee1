import base64
import json
import time


class ValidationError(ValueError):
    pass


class AccessTokenBody:
    """What is in an access token, which must be a JWT with these claims."""

    def __init__(self, token):
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            self.audience, self.issuer, self.subject = claims["aud"], claims["iss"], claims["sub"]
            self.expires_at, self.issued_at = claims["exp"], claims["iat"]
            self.client_id = claims.get("azp") or claims["client_id"]
        except (IndexError, KeyError, ValueError) as e:
            raise ValidationError(f"not an access token of EarthScope's: {type(e).__name__}") from None

    @property
    def ttl(self):
        return self.expires_at - time.time()


class _Secret:
    def __init__(self, value):
        self._value = value

    def get_secret_value(self):
        return self._value


class Tokens:
    @classmethod
    def model_validate(cls, values):
        tokens = cls()
        access, refresh = values.get("access_token"), values.get("refresh_token")
        tokens.access_token = _Secret(access) if access else None
        tokens.refresh_token = _Secret(refresh) if refresh else None
        tokens.access_token_body = AccessTokenBody(access) if access else None
        return tokens

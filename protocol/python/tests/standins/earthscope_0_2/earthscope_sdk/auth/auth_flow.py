"""Stands in for earthscope-sdk 0.2.1, whose tokens are in a file."""

import abc


class NoTokensError(Exception):
    pass


class AuthFlow(abc.ABC):
    """There is one of this name in 1.x too, with another constructor."""

    def __init__(self, domain, audience, client_id, scope):
        self.domain, self.audience, self.client_id, self.scope = domain, audience, client_id, scope

"""Stands in for earthengine-api 1.6: Initialize, and a request as its client makes one, by google.auth."""

import atexit

from google.auth.transport.requests import AuthorizedSession


class EEException(Exception):
    pass


_session = _project = _url = None


def Initialize(credentials="persistent", url=None, project=None):
    global _session, _project, _url
    if credentials == "persistent":
        raise EEException("Please authorize access to your Earth Engine account by running earthengine authenticate")
    if not project and credentials and hasattr(credentials, "quota_project_id"):
        project = credentials.quota_project_id
    if not project:
        raise EEException("ee.Initialize: no project found.")
    Reset()
    _session, _project = AuthorizedSession(credentials), project
    _url = url or "https://earthengine.googleapis.com"


def Reset():
    global _session
    if _session is not None:
        _session.close()
        _session = None


atexit.register(Reset)


class Number:
    """A number that the server computes."""

    def __init__(self, value):
        self._expression = {"constantValue": value}

    def add(self, value):
        sum = Number(0)
        sum._expression = {"functionName": "Number.add", "arguments": {"left": self._expression, "right": value}}
        return sum

    def getInfo(self):
        response = _session.post(
            f"{_url}/api/v1/projects/{_project}/value:compute",
            json={"expression": self._expression},
            headers={"x-goog-user-project": _project},
        )
        if response.status_code != 200:
            raise EEException(response.text)
        return response.json()["result"]

"""Stands in for earthengine-api 1.6: Initialize, and a request as its client makes one, by google.auth."""

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
    _session, _project = AuthorizedSession(credentials), project
    _url = url or "https://earthengine.googleapis.com"


def compute(what):
    """What getInfo() sends for an object."""
    response = _session.post(f"{_url}/api/v1/projects/{_project}/value:compute", json={"expression": what})
    if response.status_code != 200:
        raise EEException(response.text)
    return response.json()


def close():
    _session.close()

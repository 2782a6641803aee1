class _OAuth2(dict):
    domain = "https://login.earthscope.invalid/"

    def is_host_allowed(self, host):
        return host == "earthscope.org" or host.endswith(".earthscope.org") or host in self.get("allowed_hosts", ())


class SdkSettings:
    """The settings. What a person has in files and variables would be read here."""

    def __init__(self, oauth2=None, api_url="https://api.earthscope.org/"):
        self.oauth2, self.api_url = _OAuth2(oauth2 or {}), api_url
        self.written = []

    def write_tokens(self, tokens):
        self.written.append(tokens)

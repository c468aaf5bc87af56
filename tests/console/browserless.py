"""A person at the console without a browser: keeps cookies, reads hidden fields, sends forms."""

import re

import httpx

from tests.api.builders import PASSWORD, Person

_HIDDEN = re.compile(r'name="(csrf_token|form_token|lock_version)" value="([^"]*)"')


class Visit:
    """One browser session."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, follow_redirects=True)
        self.origin = {"Origin": url, "Sec-Fetch-Site": "same-origin"}

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def hidden(self, path: str) -> dict[str, str]:
        return dict(_HIDDEN.findall(self.get(path).text))

    def send(self, path: str, shown_at: str, **fields: str) -> httpx.Response:
        """Send the form that stands on a page."""
        data = {**self.hidden(shown_at), **fields}
        return self.client.post(path, data=data, headers=self.origin)

    def sign_in(self, person: Person, password: str = PASSWORD) -> httpx.Response:
        return self.send("/sign-in", "/sign-in", email=person.email, password=password)

"""Signed webhooks by the Standard Webhooks scheme: sending one, and verifying one that came.

Headers: ``webhook-id`` names the message (the same in every attempt, so that the receiver drops
what it has), ``webhook-timestamp`` is the Unix time of the attempt, ``webhook-signature`` holds
``v1,`` and the base64 HMAC-SHA256 of id, timestamp and body, joined by points; several signatures
stand side by side while a secret is changed.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from prebill.core.errors import PermanentError, TransientError, UnauthenticatedError

TIMEOUT_SECONDS: Final = 10.0
#: A message older or newer than this is not believed: it may have been caught and sent again.
TOLERANCE_SECONDS: Final = 300
#: Answers that a retry may mend: timeout, conflict of deliveries, too early, too many requests.
RETRIED: Final = frozenset({408, 409, 425, 429})
_PREFIX: Final = "whsec_"
#: One answer to everything that is not signed as it should be: it tells a stranger nothing.
REFUSED: Final = "this webhook is unknown, or its signature or time is wrong"


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message.

    Examples
    --------
    >>> signature("secret", "m1", 1, b"{}")[:11]
    'v1,k0V+nUcN'
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def verified_id(headers: Mapping[str, str], body: bytes, secret: str, now_at: datetime) -> str:
    """Return the id of a message that is signed with the secret.

    Raises
    ------
    UnauthenticatedError
        It is not, or its time is too far from now.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not message_id or not is_recent(timestamp, now_at):
        raise UnauthenticatedError(REFUSED)
    expected = signature(secret, message_id, int(timestamp), body).encode()
    if not any(hmac.compare_digest(expected, one.encode()) for one in given):
        raise UnauthenticatedError(REFUSED)
    return message_id


def is_recent(timestamp: str, now_at: datetime) -> bool:
    """Whether a Unix time given as text lies within the tolerance."""
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    return abs(now_at.timestamp() - int(timestamp)) <= TOLERANCE_SECONDS


def _key(secret: str) -> bytes:
    """A secret with the scheme's prefix is base64; any other is taken as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


class Webhook:
    """Posts messages to one URL."""

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        import httpx

        self._url = url
        self._secret = secret
        # Redirects are not followed: a signed message goes to the configured place only.
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)

    def deliver(self, delivery_id: str, body: bytes, *, timestamp: int) -> None:
        """Post a message.

        Raises
        ------
        TransientError
            No answer, or one that a retry may mend.
        PermanentError
            The receiver refused; a person must look.
        """
        import httpx

        message_id = quote(delivery_id, safe=":")  # a header is ASCII; ids of engines needn't be
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secret, message_id, timestamp, body),
        }
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            message = f"the webhook's URL can't be used: {error}"
            raise PermanentError(message, delivery_id=delivery_id) from error
        except httpx.TransportError as error:
            message = f"the webhook gave no answer: {type(error).__name__}"
            raise TransientError(message, delivery_id=delivery_id) from error
        status = answer.status_code
        if status >= 500 or status in RETRIED:
            message = f"the webhook answered {status}; it is tried again"
            raise TransientError(message, delivery_id=delivery_id, status=status)
        if not answer.is_success:
            message = f"the webhook refused with {status}: mend it, then retry the delivery"
            raise PermanentError(message, delivery_id=delivery_id, status=status)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

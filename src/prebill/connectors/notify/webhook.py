"""Deliver issued documents to a signed webhook.

Headers: ``Prebill-Delivery`` names the delivery (the same in every attempt, so that the receiver
drops what it has), ``Prebill-Timestamp`` is the Unix time of the attempt, ``Prebill-Signature`` is
``v1=`` and the hexadecimal HMAC-SHA256 of timestamp, a point and the body.
"""

import hashlib
import hmac
from typing import Final

from prebill.core.errors import PermanentError, TransientError

TIMEOUT_SECONDS: Final = 10.0
#: Answers that a retry may mend: timeout, conflict of deliveries, too early, too many requests.
RETRIED: Final = frozenset({408, 409, 425, 429})


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Sign a delivery.

    Examples
    --------
    >>> signature("secret", 1, b"{}")[:11]
    'v1=1122767b'
    """
    message = f"{timestamp}.".encode() + body
    return "v1=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Webhook:
    """Posts documents to one URL."""

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        import httpx

        self._url = url
        self._secret = secret
        # Redirects are not followed: a signed document goes to the configured place only.
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)

    def deliver(self, delivery_id: str, body: bytes, *, timestamp: int) -> None:
        """Post a document.

        Raises
        ------
        TransientError
            No answer, or one that a retry may mend.
        PermanentError
            The receiver refused; a person must look.
        """
        import httpx

        headers = {
            "Content-Type": "application/json",
            "Prebill-Delivery": delivery_id,
            "Prebill-Timestamp": str(timestamp),
            "Prebill-Signature": signature(self._secret, timestamp, body),
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

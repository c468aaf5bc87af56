"""Any engine with a draft state: it sends canonical rows in a signed webhook, and hears decisions.

The engine, or a small relay beside it, posts ``{"type": "invoice.drafted", "data": {"invoices":
[…], "invoice_lines": […]}}`` and issues nothing before ``invoice.decided`` says release.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from prebill.connectors.billing_engines.base import Event, Reading
from prebill.connectors.manifest import Manifest, Retry
from prebill.connectors.notify.webhook import Webhook, verified_id
from prebill.core.errors import InputError

DRAFTED: Final = "invoice.drafted"
#: The draft was issued elsewhere, or deleted: ``data`` is ``{"invoice_id": …, "status": …}``.
GONE: Final = "invoice.gone"


def manifest_of(name: str) -> Manifest:
    """What is known of an engine of the settings."""
    return Manifest(
        system=name,
        api_version="standard-webhooks 1.0",
        version_ends_on=date(2028, 1, 1),
        authentication="HMAC-SHA256 by Standard Webhooks, both ways",
        secret_days=365,
        owner="billing operations",
        scopes=("drafts are sent, decisions are received",),
        requests_per_second=50,
        retry=Retry.BOTH,
        contracts_in=("invoices", "invoice_lines"),
        contracts_out=("gate_decision",),
        sla="a decision is sent within seconds; the engine waits for it",
    )


class SignedEngine:
    """One engine of the setting ``engines``, by its name."""

    confirms = False

    def __init__(self, name: str, url: str, secret: str) -> None:
        self.secret = secret
        self.manifest = manifest_of(name)
        self._webhook = Webhook(url, secret)

    def verify(self, headers: Mapping[str, str], body: bytes, now_at: datetime) -> Event:
        """Believe a message that is signed with the engine's secret."""
        message_id = verified_id(headers, body, self.secret, now_at)
        try:
            # Numbers keep their digits: the data contract reads them as text.
            payload = json.loads(body, parse_float=str)
        except (ValueError, RecursionError) as error:
            message = f"the body is no JSON: {error}"
            raise InputError(message) from None
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), dict):
            message = 'send {"type": …, "data": {…}}'
            raise InputError(message)
        digest = hashlib.sha256(body).hexdigest()
        return Event(message_id, str(payload.get("type")), digest, payload["data"])

    def read(self, event: Event) -> Reading:
        """Return the rows as they were sent.

        Raises
        ------
        InputError
            Something else than lists of rows was sent.
        """
        if event.kind == GONE:
            data = event.payload
            return Reading(gone={str(data.get("invoice_id")): str(data.get("status") or "gone")})
        if event.kind != DRAFTED:
            return Reading()
        return Reading(_rows(event, "invoices"), _rows(event, "invoice_lines"))

    def stop(self, event: Event, why: str) -> str | None:
        """Do nothing: the engine waits until it hears a release."""
        del event, why
        return None

    def send(self, delivery_id: str, body: bytes) -> None:
        """Post the decision, signed."""
        timestamp = int(datetime.now(UTC).timestamp())
        self._webhook.deliver(delivery_id, body, timestamp=timestamp)

    def close(self) -> None:
        """Close the connections."""
        self._webhook.close()


def _rows(event: Event, name: str) -> list[dict[str, Any]]:
    rows = event.payload.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"data.{name} must be a list of objects"
        raise InputError(message)
    return rows

"""What a billing engine's connector does: believe an event, read a draft, carry out a decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from prebill.connectors.manifest import Manifest

#: Actions that keep a draft from being issued.
STOPS: Final = frozenset({"review", "hold", "reject"})


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook. ``event_id`` and ``subject`` are the same when it comes again."""

    event_id: str
    kind: str
    #: What it is about: no other event has both the same id and another subject.
    subject: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """Drafts that an event is about, as rows of the data contracts invoices and invoice_lines."""

    invoices: list[dict[str, Any]] = field(default_factory=list)
    invoice_lines: list[dict[str, Any]] = field(default_factory=list)
    #: Draft → digest of its content, by which ``send`` finds that it changed since.
    digests: dict[str, str] = field(default_factory=dict)
    #: Drafts that the engine will issue by itself unless it is told not to.
    advancing: frozenset[str] = frozenset()
    #: What is no draft (any more) → the engine's word for what it is.
    gone: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """One billing engine. Only TransientError and PermanentError leave it, besides a refusal."""

    manifest: Manifest
    #: Signs its events; the user that acts for the engine is bound to it.
    secret: str
    #: Whether a decision must have arrived before the event that led to it is acknowledged.
    confirms: bool

    def verify(self, headers: Mapping[str, str], body: bytes, now_at: datetime) -> Event:
        """Return the event, or raise UnauthenticatedError."""

    def read(self, event: Event) -> Reading:
        """Return the drafts that the event is about; an event about something else has none."""

    def stop(self, event: Event, why: str) -> str | None:
        """Keep the event's draft from being issued: it could not be read or judged.

        Returns its id, or None where there is nothing to stop.
        """

    def send(self, delivery_id: str, body: bytes) -> None:
        """Carry out a decision (data contract gate_decision) that is being delivered."""

    def close(self) -> None:
        """Close the connections."""

"""What is known of an outside system before it is spoken to: one manifest a connector."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Retry(StrEnum):
    """Who tries again after a failure that may mend."""

    #: The outbox, with growing pauses, for about two days.
    OUTBOX = "outbox"
    #: Both: their events come again until they are acknowledged, our deliveries by the outbox.
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts that an operator must look after."""

    system: str
    api_version: str
    #: End of that version; where the vendor names none, our own date to look at it again.
    version_ends_on: date
    authentication: str
    #: A secret is changed at least this often.
    secret_days: int
    owner: str
    scopes: tuple[str, ...]
    requests_per_second: int
    retry: Retry
    contracts_in: tuple[str, ...]
    contracts_out: tuple[str, ...]
    sla: str

    def __post_init__(self) -> None:
        """Refuse a manifest that leaves something open."""
        texts = (self.system, self.api_version, self.authentication, self.owner, self.sla)
        if not all(texts) or self.secret_days < 1 or self.requests_per_second < 1:
            message = f"the manifest of {self.system or 'a connector'} is incomplete"
            raise ValueError(message)

"""Wire an installation: settings, database, lake, policy and models, opened once a process.

Policy and models are read anew for each run. The policy in force is a version in the database;
until a first one goes live, it is what was installed: PREBILL_POLICY_PATH or the default. A model
that can't be loaded does not stop a run: it is named in ``Judges.failure`` and every draft then
needs a person. A challenger that can't be loaded costs nothing but its shadow scores.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from prebill.core.errors import InputError, ModelError
from prebill.settings import Settings

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy
    from prebill.core.scoring.models import Models
    from prebill.lake import Lake
    from prebill.store.engine import Store, Tx


@dataclass(frozen=True, slots=True)
class Judges:
    """What judges drafts: the policy, the models, and why models are missing, if they are.

    ``challenger``: the models with each challenger in its champion's place, to score in shadow;
    None where there is no challenger. Its actions never count.
    """

    policy: "Policy"
    models: "Models"
    failure: str = ""
    challenger: "Models | None" = None
    challenger_failure: str = ""

    @property
    def has_other_forest(self) -> bool:
        """Whether the challenger sees other norms than the champion: a forest is part of them."""
        theirs = self.challenger
        if theirs is None:
            return False
        return theirs.versions.get("forest") != self.models.versions.get("forest")


@dataclass(frozen=True)
class Installation:
    """Everything that a workflow needs from outside. Safe to share between threads."""

    settings: Settings
    store: "Store"
    lake: "Lake" = field(repr=False)
    #: What was read last, by the stamps of its files.
    _judges: dict[tuple[object, ...], Judges] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open an installation that ``prebill init`` has made.

        Raises
        ------
        StorageError
            The database is absent or of another schema version.
        """
        from prebill.lake import Lake
        from prebill.store.engine import Store

        return cls(settings, Store.open(settings.database_url), Lake(settings.lake_dir))

    def load_judges(self) -> Judges:
        """Read the policy in force and the verified models; a run keeps what it started with.

        Models are read again when one of their files was changed: that takes a second.
        """
        from prebill import bundles

        policy = self.load_policy()
        stamps = (*bundles.stamps(self.settings), policy.digest)
        known = self._judges.get(stamps)
        if known is None or known.failure or known.challenger_failure:
            known = self._read_judges(policy)
            self._judges.clear()
            self._judges[stamps] = known
        return known

    def _read_judges(self, policy: "Policy") -> Judges:
        models, failure = load_models(self.settings)
        challenger, why_not = load_challenger(self.settings)
        return Judges(policy, models, failure, challenger, why_not)

    def load_policy(self) -> "Policy":
        """Read the policy in force."""
        with self.store.read() as tx:
            return self.policy_in_force(tx)

    def policy_in_force(self, tx: "Tx") -> "Policy":
        """Read the policy in force now; one that is as it was is not parsed again."""
        return _parsed(self.policy_content(tx))

    def policy_content(self, tx: "Tx") -> str:
        """Read the text in force now, from the database or as installed."""
        from prebill.store.configurations import POLICY, in_force

        found = in_force(tx, POLICY, datetime.now(UTC))
        return found.content if found else policy_text(self.settings.policy_path)

    def policy_of(self, digest: str) -> "Policy | None":
        """Find the policy of that digest, if its text was kept or is the one in force."""
        from prebill.store.configurations import POLICY, text_of

        with self.store.read() as tx:
            content = text_of(tx, POLICY, digest)
            present = self.policy_in_force(tx)
        if content is not None:
            return _parsed(content)
        return present if present.digest == digest else None

    def close(self) -> None:
        """Close the database's connections."""
        self.store.close()


def policy_text(path: Path | None) -> str:
    """Read the policy that was installed: a file, or the default that comes with Prebill.

    Raises
    ------
    InputError
        The file can't be read.
    """
    if path is None:
        path = Path(__file__).parent / "core" / "policy" / "default.yaml"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"the policy {path} can't be read: {error}"
        raise InputError(message, path=str(path)) from error


@lru_cache(maxsize=8)
def _parsed(text: str) -> "Policy":
    from prebill.core.policy.model import Policy

    return Policy.parse(text)


def load_models(settings: Settings) -> tuple["Models", str]:
    """Load the verified local copies; a failure is returned in words and leaves no model."""
    from prebill import bundles
    from prebill.core.scoring.models import Models

    try:
        return bundles.load_models(settings), ""
    except ModelError as error:
        return Models(), str(error)


def load_challenger(settings: Settings) -> tuple["Models | None", str]:
    """Load the challenger's verified copies; a failure is returned in words."""
    from prebill import bundles

    try:
        return bundles.load_challenger(settings), ""
    except ModelError as error:
        return None, str(error)

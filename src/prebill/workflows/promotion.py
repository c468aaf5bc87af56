"""Put models in use: proposed by one person, approved by another, then live; and back.

The database is the record (`store/model_changes.py`). An approved change that could not take effect
(a crash, a disk) is finished by the next call, or by :func:`follow`, which every machine runs.
"""

from dataclasses import dataclass, field
from typing import Final

from prebill import audit, registry
from prebill.bundles import (
    NAMES,
    Role,
    in_use,
    known,
    pointed_digest,
    put_in_use,
    take_out_of_use,
)
from prebill.core.errors import (
    ConflictError,
    ForbiddenError,
    ModelError,
    NotFoundError,
    TransientError,
)
from prebill.registry import Version
from prebill.settings import Settings
from prebill.store import model_changes
from prebill.store.engine import Store, Tx
from prebill.store.model_changes import Basis, Change, Kind, Wanted

_PROMOTED: Final = {Kind.PROMOTE: "model.promoted", Kind.ROLLBACK: "model.rolled_back"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The change as it stands now; ``notes``: what lags behind."""

    change: Change
    notes: list[str] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether it has taken effect; else another person is asked."""
        return self.change.status == "live"


@dataclass(frozen=True, slots=True)
class Office:
    """Where changes are made and by whom: everything that the functions here need."""

    settings: Settings
    store: Store
    actor: str


def promote(office: Office, name: str, number: int, *, despite: str = "") -> Outcome:
    """Propose a version as champion, or approve what somebody else proposed.

    Parameters
    ----------
    office : Office
        Installation and actor.
    name, number
        Model and version.
    despite : str
        Why to propose it though its evaluation does not allow it; the second person sees it.

    Raises
    ------
    ForbiddenError
        The actor proposed it: somebody else must approve.
    ConflictError
        Another change is open, the version is in use, or its evaluation does not allow it.
    NotFoundError, ModelError, TransientError
        There is no such version; its files are not those registered; MLflow is away.
    """
    change = _open(office, known(name))
    if change is None:
        version = registry.version(office.settings, name, number)
        champion = _champion_digest(office, name)
        _require_other(version, champion)
        if not despite:
            _require_passed(version, champion)
        evidence: dict[str, object] = {
            "verdict": version.tags.get(registry.VERDICT, ""),
            "despite": despite,
        }
        return _asked(office, name, Kind.PROMOTE, (version.number, version.digest), evidence)
    return _answered(office, change, Kind.PROMOTE, number)


def rollback(office: Office, name: str, *, reason: str = "") -> Outcome:
    """Propose the champion before the present one, or approve that proposal.

    It needs no MLflow where the local copy is whole.

    Raises
    ------
    NotFoundError
        There was no other champion.
    ForbiddenError, ConflictError, ModelError
        As for :func:`promote`.
    """
    change = _open(office, known(name))
    if change is not None:
        return _answered(office, change, Kind.ROLLBACK, None)
    with office.store.read() as tx:
        before = model_changes.champion_before(tx, name)
    if before is None:
        message = f"{name} has no earlier champion to go back to: `prebill models list`"
        raise NotFoundError(message, name=name)
    target = (before.version, before.digest)
    return _asked(office, name, Kind.ROLLBACK, target, {"reason": reason})


def withdraw(office: Office, name: str) -> Change:
    """Take back an open proposal; without one, end the challenger.

    Raises
    ------
    NotFoundError
        There is neither.
    """
    with office.store.transaction() as tx:
        change = model_changes.open_change(tx, known(name))
        change = change or model_changes.live_challenger(tx, name)
        if change is None:
            message = f"{name} has no open proposal and no challenger: `prebill models list`"
            raise NotFoundError(message, name=name)
        done = model_changes.withdraw(tx, change, office.actor)
        _record(tx, office.actor, "model.withdrawn", done)
    if change.kind is Kind.CHALLENGE:
        take_out_of_use(office.settings, name, Role.CHALLENGER)
        _aliased(office, done)
    return done


# ── What training does ───────────────────────────────────────────────────────────────────────


def install(office: Office, version: Version, evidence: dict[str, object]) -> Outcome:
    """Take in a version that passed: champion where there is none yet, else challenger.

    Where the installation has one person only and says so, it becomes champion at once.
    """
    finish(office, version.name)
    champion = _champion_digest(office, version.name)
    if champion and not _is_unattended(office):
        return _challenge(office, version, champion, evidence)
    target = (version.number, version.digest)
    return _asked(office, version.name, Kind.PROMOTE, target, evidence)


def _challenge(
    office: Office, version: Version, champion: str, evidence: dict[str, object]
) -> Outcome:
    name = version.name
    bundle = registry.fetch(office.settings, name, version.number, version.digest)
    wanted = Wanted(
        model=name,
        kind=Kind.CHALLENGE,
        version=version.number,
        digest=version.digest,
        replaces_digest=champion,
        basis=Basis.EVALUATION,
        evidence=evidence,
    )
    with office.store.transaction() as tx:
        change = model_changes.challenge(tx, wanted, office.actor)
        _record(tx, office.actor, "model.challenged", change)
    put_in_use(office.settings, bundle, Role.CHALLENGER, version.number)
    return Outcome(change, _ignored_setting(office) + _aliased(office, change))


# ── Other machines, and after a crash ────────────────────────────────────────────────────────


def finish(office: Office, name: str) -> Outcome | None:
    """Let an approved change take effect that has not yet."""
    change = _open(office, name)
    return _take_effect(office, change) if change and change.status == "approved" else None


def follow(office: Office) -> list[str]:
    """Bring this machine's copies to what the database says; what can't be comes back in words.

    The last verified copies stay in use. Cheap where nothing changed: MLflow is asked only for
    files that are not here.
    """
    notes = []
    for name in NAMES:
        try:
            finish(office, name)
            with office.store.read() as tx:
                champion = model_changes.live_champion(tx, name)
                challenger = model_changes.live_challenger(tx, name)
            _point(office.settings, name, Role.CHAMPION, champion)
            _point(office.settings, name, Role.CHALLENGER, challenger)
        except (TransientError, ModelError, NotFoundError, ConflictError) as error:
            notes.append(f"{name}: {error}")
    return notes


def _point(settings: Settings, name: str, role: Role, change: Change | None) -> None:
    """Make a pointer name what is live; a champion that no change made is left as it is."""
    if change is None:
        if role is Role.CHALLENGER:
            take_out_of_use(settings, name, role)
        return
    try:
        present = in_use(settings, name, role)
    except ModelError:
        present = None
    if present is None or present.digest != change.digest:
        bundle = registry.fetch(settings, name, change.version, change.digest)
        put_in_use(settings, bundle, role, change.version)


# ── The steps of a change ────────────────────────────────────────────────────────────────────


def _asked(
    office: Office,
    name: str,
    kind: Kind,
    target: tuple[int, str],
    evidence: dict[str, object],
) -> Outcome:
    """Write the proposal; where one person is enough, let it take effect."""
    number, digest = target
    registry.fetch(office.settings, name, number, digest)  # what can't be had is not proposed
    champion = _champion_digest(office, name)
    basis = Basis.SECOND_PERSON
    if _is_unattended(office):
        basis = Basis.UNATTENDED
    if not champion:
        basis = Basis.FIRST_CHAMPION
    wanted = Wanted(
        model=name,
        kind=kind,
        version=number,
        digest=digest,
        replaces_digest=champion,
        basis=basis,
        evidence=evidence,
    )
    with office.store.transaction() as tx:
        change = model_changes.propose(tx, wanted, office.actor)
        _record(tx, office.actor, "model.proposed", change)
        if basis is not Basis.SECOND_PERSON:
            change = model_changes.approve(tx, change, office.actor)
            _record(tx, office.actor, "model.approved", change)
    if basis is Basis.SECOND_PERSON:
        return Outcome(change, _ignored_setting(office))
    return _take_effect(office, change)


def _answered(office: Office, change: Change, kind: Kind, number: int | None) -> Outcome:
    """Approve the open change that the second person names."""
    if change.status == "approved":
        return _take_effect(office, change)
    if change.kind is not kind or number not in (None, change.version):
        with office.store.read() as tx:
            author = model_changes.name_of(tx, change.proposed_by)
        message = (
            f"{author} proposed to {change.kind} {change.model} to version {change.version}: "
            f"approve that, or take it back with `prebill models withdraw {change.model}`"
        )
        raise ConflictError(message, model=change.model, version=change.version)
    if change.proposed_by == office.actor:
        message = (
            f"you proposed {change.model} version {change.version}: somebody else must approve it "
            "with the same command"
        )
        raise ForbiddenError(message, model=change.model, version=change.version)
    registry.fetch(office.settings, change.model, change.version, change.digest)
    with office.store.transaction() as tx:
        change = model_changes.approve(tx, change, office.actor)
        _record(tx, office.actor, "model.approved", change)
    return _take_effect(office, change)


def _take_effect(office: Office, change: Change) -> Outcome:
    """Copy, pointer, database; MLflow's aliases last, they may lag."""
    settings, name = office.settings, change.model
    bundle = registry.fetch(settings, name, change.version, change.digest)
    put_in_use(settings, bundle, Role.CHAMPION, change.version)
    if pointed_digest(settings, name, Role.CHALLENGER) == change.digest:
        take_out_of_use(settings, name, Role.CHALLENGER)
    with office.store.transaction() as tx:
        done = model_changes.went_live(tx, change)
        _record(tx, change.decided_by or office.actor, _PROMOTED[change.kind], done)
    return Outcome(done, _aliased(office, done))


def _aliased(office: Office, change: Change) -> list[str]:
    """Show the change in MLflow; its being away stops nothing."""
    settings, name = office.settings, change.model
    try:
        if change.kind is Kind.CHALLENGE:
            number = None if change.status == "withdrawn" else change.version
            registry.name_challenger(settings, name, number)
        else:
            registry.name_champion(settings, name, change.version)
            version = registry.version(settings, name, change.version)
            registry.annotate(settings, version, {"prebill.validator": _validator(change)})
    except (TransientError, NotFoundError) as error:
        return [f"MLflow does not show it yet: {error}"]
    return []


def _validator(change: Change) -> str:
    alone = {
        Basis.FIRST_CHAMPION: "nobody yet: the first champion",
        Basis.UNATTENDED: "nobody: unattended promotion is on",
    }
    return alone.get(change.basis, change.decided_by or "")


def _open(office: Office, name: str) -> Change | None:
    with office.store.read() as tx:
        return model_changes.open_change(tx, name)


def _champion_digest(office: Office, name: str) -> str:
    """The champion by the database, else by the pointer; empty: there never was one."""
    with office.store.read() as tx:
        live = model_changes.live_champion(tx, name)
    if live is not None:
        return live.digest
    return pointed_digest(office.settings, name, Role.CHAMPION) or ""


def _is_unattended(office: Office) -> bool:
    """Whether one person is enough: the setting says so, and nobody else could approve."""
    return office.settings.unattended_promotion and _approvers(office) <= 1


def _ignored_setting(office: Office) -> list[str]:
    """Say that the setting does not count where a second person is there."""
    if not office.settings.unattended_promotion or _is_unattended(office):
        return []
    return [f"PREBILL_UNATTENDED_PROMOTION is ignored: {_approvers(office)} people may approve"]


def _approvers(office: Office) -> int:
    with office.store.read() as tx:
        return model_changes.count_approvers(tx)


def _require_other(version: Version, champion: str) -> None:
    if version.digest == champion:
        message = f"{version.name} version {version.number} is in use already"
        raise ConflictError(message, name=version.name, number=version.number)


def _require_passed(version: Version, champion: str) -> None:
    """A version must have been found better than the present champion, not an earlier one."""
    named = f"{version.name} version {version.number}"
    tags = version.tags
    again = f"`prebill models compare {version.name} --with {version.number}`"
    if tags.get(registry.AGAINST, "") != champion:
        message = f"{named} was not compared with the present champion: {again}"
    elif tags.get(registry.PASSED) != "yes":
        verdict = tags.get(registry.VERDICT, "not evaluated")
        message = f"{named} did not pass ({verdict}): train a better one, or say --despite WHY"
    else:
        return
    raise ConflictError(message, name=version.name, number=version.number)


def _record(tx: Tx, actor: str, action: str, change: Change) -> None:
    detail: dict[str, object] = {
        "sequence": change.sequence,
        "kind": change.kind.value,
        "version": change.version,
        "digest": change.digest,
        "replaces": change.replaces_digest,
        "basis": change.basis.value,
    }
    audit.record(tx, actor, action, change.model, detail)

"""Set up and look after an installation: init, doctor, users, tokens, audit.

Whoever may run these commands has the database at hand anyway; what they do is audited under the
name of the shell's user.
"""

import fcntl
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prebill.settings import Settings
    from prebill.store.engine import Store, Tx

FIRST_ADMIN = "admin@localhost"

user_app = typer.Typer(help="People who may sign in.", no_args_is_help=True)
token_app = typer.Typer(help="Tokens with which programs act for a user.", no_args_is_help=True)
audit_app = typer.Typer(help="The chained log of who did what.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command("init")(init)
    app.command("doctor")(doctor)
    app.add_typer(user_app, name="user")
    app.add_typer(token_app, name="token")
    app.add_typer(audit_app, name="audit")


def init(
    database: Annotated[
        str | None, typer.Option(help="sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
    ] = None,
    lake: Annotated[Path | None, typer.Option(help="Folder of the lake.")] = None,
    admin: Annotated[str, typer.Option(help="E-mail of the first administrator.")] = FIRST_ADMIN,
    tracking: Annotated[
        bool, typer.Option(help="Make MLflow's tables too, else at the first training.")
    ] = True,
) -> None:
    """Create or migrate database and lake; prints the first administrator's password once."""
    settings = _chosen_settings(database, lake)
    with _locked(settings.home):
        _create(settings)
        if tracking:
            _prepare_tracking(settings)
        password = _first_administrator(settings, admin)
    if password is None:
        typer.echo("users       kept as they are")
        return
    typer.echo(f"sign in as  {admin}")
    typer.secho(f"password    {password}   (once: it must be changed at first sign-in)", bold=True)


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="A folder of canonical files to look at instead.")
    ] = None,
) -> None:
    """Say what is set up and what is missing; with --data, what a data folder is good for."""
    from prebill.cli.checkup import of_data, of_installation
    from prebill.settings import Settings

    notes = of_installation(Settings.load()) if data is None else of_data(data)
    width = max(len(note.subject) for note in notes)
    colors = {"ok": typer.colors.GREEN, "note": None, "lost": typer.colors.YELLOW}
    for note in notes:
        color = colors.get(note.state, typer.colors.RED)
        typer.secho(f"{note.state:<7} ", fg=color, nl=False)
        typer.echo(f"{note.subject:<{width}}  {note.text}")
    if any(note.state == "missing" for note in notes):
        raise typer.Exit(1)


@user_app.command("add")
def add_user(
    email: str,
    role: Annotated[str, typer.Option(help="admin, controller, reviewer or viewer")],
    name: Annotated[str | None, typer.Option(help="Shown beside decisions.")] = None,
) -> None:
    """Add a user; prints a one-time password."""
    from prebill.store import users

    password = users.one_time_password()
    with _store() as store, store.transaction() as tx:
        actor = users.create_user(
            tx,
            email,
            name=name or email.partition("@")[0],
            role=users.Role.named(role),
            password=password,
            must_change_password=True,
        )
        detail: dict[str, object] = {"role": actor.role.name.lower()}
        _record(tx, "user.added", actor.user_id, detail)
    typer.echo(f"user      {email} ({actor.role.name.lower()}, {actor.user_id})")
    typer.secho(f"password  {password}   (once: it must be changed at first sign-in)", bold=True)


@user_app.command("list")
def list_users() -> None:
    """List the users."""
    from prebill.store import users

    with _store() as store, store.read() as tx:
        found = users.list_users(tx)
    for row in found.iter_rows(named=True):
        state = "" if row["is_active"] else "  inactive"
        typer.echo(f"{row['user_id']}  {row['role']:<10}  {row['email']}  {row['name']}{state}")


@token_app.command("create")
def create_token(
    email: str,
    name: Annotated[str, typer.Option(help="What the token is for.")],
    days: Annotated[int, typer.Option(min=1, help="Days until it ends.")] = 90,
) -> None:
    """Make a token that acts for a user; it is shown once."""
    from prebill.store import users

    ends_at = datetime.now(UTC) + timedelta(days=days)
    with _store() as store, store.transaction() as tx:
        actor = users.find_user(tx, email)
        token_id, token = users.create_token(tx, actor.user_id, name=name, expires_at=ends_at)
        detail: dict[str, object] = {"user_id": actor.user_id, "name": name}
        _record(tx, "token.created", token_id, detail)
    typer.echo(f"token id  {token_id}   (ends {ends_at:%Y-%m-%d}; `prebill token revoke` ends it)")
    typer.secho(f"token     {token}   (shown once)", bold=True)


@token_app.command("bind")
def bind_secret(
    system: Annotated[str, typer.Argument(help="stripe, or an engine of PREBILL_ENGINES.")],
    email: Annotated[str, typer.Argument(help="The user for whom its webhooks act.")],
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends.")] = None,
) -> None:
    """Let the secret of a billing engine's webhooks, as it is set now, act for a user."""
    from prebill.connectors.billing_engines.registry import engines_of
    from prebill.core.errors import InputError
    from prebill.settings import Settings
    from prebill.store import users

    settings = Settings.load()
    engine = engines_of(settings).get(system)
    if engine is None:
        message = f"{system} is not set up: see the settings of the gate in docs/gate.md"
        raise InputError(message, system=system)
    ends_at = datetime.now(UTC) + timedelta(days=days or engine.manifest.secret_days)
    with _store(settings) as store, store.transaction() as tx:
        actor = users.find_user(tx, email)
        token_id = users.bind_secret(tx, actor.user_id, system, engine.secret, expires_at=ends_at)
        detail: dict[str, object] = {"user_id": actor.user_id, "system": system}
        _record(tx, "secret.bound", token_id, detail)
    typer.echo(f"webhooks of {system} act for {email} until {ends_at:%Y-%m-%d}")
    typer.echo(f"token id  {token_id}   (`prebill token revoke` ends it; bind a new secret again)")


@token_app.command("revoke")
def revoke_token(token_id: str) -> None:
    """End a token."""
    from prebill.store import users

    with _store() as store, store.transaction() as tx:
        users.revoke_token(tx, token_id)
        _record(tx, "token.revoked", token_id, {})
    typer.echo(f"token {token_id} is revoked")


@audit_app.command("seal")
def seal_audit() -> None:
    """Chain what was written since the last seal, and write the heads outside the database."""
    from prebill import audit
    from prebill.settings import Settings

    settings = Settings.load()
    with _store(settings) as store:
        covered = audit.seal(store, settings.audit_heads_path)
    typer.echo(f"sealed {covered:,} entries; heads in {settings.audit_heads_path}")


@audit_app.command("evidence")
def evidence(
    name: Annotated[str, typer.Argument(help="Id of a draft, case or document.")],
    out: Annotated[Path, typer.Option(help="Where to write the JSON document.")],
) -> None:
    """Write everything that is kept about a draft, with proofs of its audit entries."""
    import json

    from prebill.settings import Settings
    from prebill.store.engine import Store
    from prebill.workflows.evidence import evidence_of

    with Store.open(Settings.load().database_url) as store:
        found = evidence_of(store, name)
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    typer.echo(f"{len(found['audit'])} audit entries on {found['draft_id']} in {out}")


@audit_app.command("verify")
def verify_audit() -> None:
    """Look for alteration, deletion, insertion, reordering and truncation."""
    from prebill import audit
    from prebill.settings import Settings
    from prebill.workflows.alerting import record_audit

    settings = Settings.load()
    with _store(settings) as store:
        seen = audit.verify(store, settings.audit_heads_path)
        with store.transaction() as tx:
            record_audit(tx, seen, datetime.now(UTC))
    for finding in seen.findings:
        typer.secho(f"{finding.code}: {finding.stream}: {finding.text}", fg=typer.colors.RED)
    verdict = "intact" if seen.is_intact else f"{len(seen.findings)} findings"
    typer.echo(
        f"audit {verdict}: {seen.sealed:,} entries under {seen.seals} seals, "
        f"{seen.unsealed:,} not sealed yet"
    )
    if not seen.is_intact:
        raise typer.Exit(1)


# ── Helpers ──────────────────────────────────────────────────────────────────────────────────


def _shell_user() -> str:
    """Who acts: a person with access to the machine; never taken from an argument."""
    return f"shell:{getpass.getuser()}"


def _record(tx: "Tx", action: str, object_id: str, detail: dict[str, object]) -> None:
    from prebill import audit

    audit.record(tx, _shell_user(), action, object_id, detail, stream=audit.Stream.ACCESS)


def _store(settings: "Settings | None" = None) -> "Store":
    from prebill.settings import Settings
    from prebill.store.engine import Store

    return Store.open((settings or Settings.load()).database_url)


def _chosen_settings(database: str | None, lake: Path | None) -> "Settings":
    """Keep what was chosen, so that later commands find the same database."""
    from prebill.settings import Settings, keep
    from prebill.store.faults import parsed_url

    chosen = {}
    if database is not None:
        parsed_url(database)
        chosen["database_url"] = _absolute(database)
    if lake is not None:
        chosen["lake_dir"] = str(lake.expanduser().resolve())
    if chosen:
        keep(Settings.load().home, **chosen)
    return Settings.load()


def _absolute(database: str) -> str:
    """A relative SQLite file means another one in every folder: make it absolute."""
    scheme, mark, path = database.partition(":///")
    if not scheme.startswith("sqlite"):
        return database
    return f"{scheme}{mark}{Path(path).expanduser().resolve()}"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One `init` at a time: two that create the same tables would both fail."""
    _make_folder(home)
    with (home / ".init.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _create(settings: "Settings") -> None:
    """Create or migrate, in this order: our tables, those of DBOS, the lake's folder."""
    from prebill.store.engine import Store
    from prebill.store.schema import upgrade
    from prebill.workflows import runtime

    with Store(settings.database_url) as store:
        change = upgrade(store)
        runtime.prepare(store)
    _make_folder(settings.lake_dir)
    what = "made" if change.before is None else f"migrated from {change.before}"
    what = "up to date" if change.before == change.after else what
    shown = store.url.render_as_string(hide_password=True)
    typer.echo(f"database    {shown}: {what}, revision {change.after}")
    typer.echo(f"lake        {settings.lake_dir}")


def _prepare_tracking(settings: "Settings") -> None:
    """Make or migrate MLflow's tables; a tracking server that is away stops nothing else."""
    from prebill import registry
    from prebill.core.errors import TransientError

    try:
        registry.prepare(settings)
    except TransientError as error:
        typer.echo(f"tracking    {error}")
    else:
        typer.echo("tracking    MLflow is ready")


def _make_folder(place: Path) -> None:
    from prebill.core.errors import StorageError

    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder {place} can't be made: {error.strerror}"
        raise StorageError(message, path=str(place)) from error


def _first_administrator(settings: "Settings", email: str) -> str | None:
    """Add the administrator to a database without users; return the password, or None."""
    from prebill.store import users

    password = users.one_time_password()
    with _store(settings) as store, store.transaction() as tx:
        if tx.scalar("SELECT count(*) FROM users"):
            return None
        actor = users.create_user(
            tx,
            email,
            name="Administrator",
            role=users.Role.ADMIN,
            password=password,
            must_change_password=True,
        )
        _record(tx, "user.added", actor.user_id, {"role": "admin"})
    return password

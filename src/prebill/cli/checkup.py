"""What `prebill doctor` looks at: an installation, or a folder of canonical files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

    from prebill.connectors.billing_engines.base import Engine
    from prebill.settings import Settings
    from prebill.store.engine import Tx

#: What ends within this time is said.
ENDS_SOON_DAYS: Final = 30
SUFFIXES: Final = (".csv", ".parquet", ".ndjson")

#: Lines about damage of the lake; a lake that is gone has thousands.
SHOWN_DAMAGES: Final = 20
#: File or file.column → what can't be judged without it.
LOSSES: Final[dict[str, str]] = {
    "customers": "tax treatment, size class",
    "customers.country": "tax treatment",
    "customers.tax_id": "tax treatment of businesses abroad",
    "invoices.legal_entity": "series by legal entity: all invoices count as one entity's",
    "invoices.payment_terms": "payment features by terms",
    "invoices.period_start_on": "part periods, doubled and absent periods",
    "invoices.period_end_on": "part periods, doubled and absent periods",
    "invoices.tax_minor": "tax share of the invoice",
    "invoice_lines": "line mix, unit prices, base fees, absent and repeated lines",
    "invoice_lines.quantity": "unit prices and units",
    "invoice_lines.unit_price": "unit prices as stated; they are taken from amount and quantity",
    "invoice_lines.tax_code": "change of the tax treatment",
    "invoice_lines.tax_minor": "tax share of a line",
    "payments": "payment risk: a stated prior is used",
    "credit_notes": "labels from corrections; invoices settled by credit look open",
    "credit_notes.reason": "goodwill counts as a correction",
    "usage_events": "absent days, repeated events, stuck meters",
}
#: What answers where a model is absent.
INSTEAD: Final = {
    "forest": "robust deviations judge the level",
    "payment_risk": "payment figures are a stated prior",
    "error_risk": "P(error) is the stated prior",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the checkup. State: ok, note, lost (a judgement), missing (must be mended)."""

    state: str
    subject: str
    text: str


# ── An installation ──────────────────────────────────────────────────────────────────────────


def of_installation(settings: "Settings") -> list[Note]:
    """Look at the home, database, lake, models and policy."""
    return [
        Note("ok" if settings.home.is_dir() else "missing", "home", str(settings.home)),
        *_of_database(settings),
        *_of_lake(settings),
        _of_folder("contracts", settings.contracts_dir, "set PREBILL_CONTRACTS_DIR"),
        *_of_models(settings),
        *_of_policy(settings),
        _of_webhook(settings),
        *_of_engines(settings),
        *_of_alerts(settings),
    ]


def _of_database(settings: "Settings") -> list[Note]:
    from prebill.core.errors import PrebillError
    from prebill.store.engine import SCHEMA_REVISION, Store

    try:
        with Store.open(settings.database_url) as store, store.read() as tx:
            counts = {
                name: tx.scalar(f"SELECT count(*) FROM {name}")
                for name in ("users", "customers", "runs", "documents")
            }
            open_cases = tx.scalar("SELECT count(*) FROM cases WHERE status = 'open'")
            waiting = tx.scalar("SELECT count(*) FROM quarantine WHERE status = 'open'")
            failed = tx.scalar("SELECT count(*) FROM outbox WHERE status = 'failed'")
    except PrebillError as error:
        return [Note("missing", "database", str(error))]
    shown = f"{store.url.render_as_string(hide_password=True)}, revision {SCHEMA_REVISION}"
    content = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    notes = [
        Note("ok", "database", f"{shown}: {content}"),
        Note("note", "queue", f"{open_cases:,} open cases"),
    ]
    if not counts["users"]:
        notes.append(Note("missing", "users", "nobody can sign in: run `prebill init`"))
    if waiting:
        text = f"{waiting:,} rows wait: `prebill quarantine list`"
        notes.append(Note("note", "quarantine", text))
    if failed:
        notes.append(Note("missing", "deliveries", f"{failed:,} failed: `prebill delivery list`"))
    return notes


def _of_lake(settings: "Settings") -> list[Note]:
    """Read every file of every batch that the database names, and compare it with its digest."""
    from prebill.core.errors import PrebillError
    from prebill.lake import Lake, LakeBatch
    from prebill.store.engine import Store
    from prebill.store.lake_index import batch_rows

    place = _of_folder("lake", settings.lake_dir, "run `prebill init`, mount or restore it")
    try:
        with Store.open(settings.database_url) as store, store.read() as tx:
            batches = [LakeBatch(**row) for row in batch_rows(tx)]
    except PrebillError:
        return [place]  # the database has a line of its own
    if place.state != "ok":
        text = f"{place.text}; the database names {len(batches):,} batches of it"
        return [Note("missing", "lake", text) if batches else place]
    damages = list(dict.fromkeys(map(str, Lake(settings.lake_dir).damages(batches).values())))
    if not damages:
        text = f"{settings.lake_dir}: {len(batches):,} batches, each as it was written"
        return [Note("ok", "lake", text)]
    more = len(damages) - SHOWN_DAMAGES
    notes = [Note("missing", "lake", text) for text in damages[:SHOWN_DAMAGES]]
    return notes + ([Note("missing", "lake", f"… and {more:,} more")] if more > 0 else [])


def _of_folder(subject: str, place: Path, advice: str) -> Note:
    if place.is_dir():
        return Note("ok", subject, str(place))
    return Note("missing", subject, f"{place} is absent: {advice}")


def _of_models(settings: "Settings") -> list[Note]:
    """Each model in use; where there is none, what answers instead; and what labels there are."""
    from prebill.bundles import NAMES

    return [*(_of_model(settings, name) for name in NAMES), *_of_labels(settings)]


def _of_model(settings: "Settings", name: str) -> Note:
    from prebill.bundles import in_use, models_of
    from prebill.core.errors import ModelError

    try:
        found = in_use(settings, name)
        models_of({name: found})
    except ModelError as error:
        return Note("missing", name, str(error))
    if found is None:
        return Note("note", name, f"none, {INSTEAD[name]}: `prebill train {name}` makes one")
    facts = found.facts
    told = [f"{facts['rows']:,} rows"] if "rows" in facts else []
    told += [f"before {facts['train_before']}"] if "train_before" in facts else []
    told += [f"rung {facts['rung']}"] if "rung" in facts else []
    return Note("ok", name, " ".join([found.digest[:12], *told]))


def _of_labels(settings: "Settings") -> list[Note]:
    """How far the labels are from teaching P(error)."""
    from prebill.core.errors import PrebillError
    from prebill.core.scoring.models.error_spec import ErrorSpec
    from prebill.store.engine import Store
    from prebill.store.outcomes import error_labels

    try:
        with Store.open(settings.database_url) as store, store.read() as tx:
            labels = error_labels(tx, datetime.now(UTC).date())
    except PrebillError:
        return []  # the database has a line of its own
    errors, least = int(labels["is_error"].sum()), ErrorSpec().least_errors
    text = f"{labels.height:,} mature, {errors:,} confirmed errors; P(error) needs {least}"
    return [Note("note", "labels", text)]


def _of_policy(settings: "Settings") -> list[Note]:
    """Which policy is in force and from where, and which waits for its time."""
    from prebill.bootstrap import policy_text
    from prebill.core.errors import PrebillError
    from prebill.core.policy.model import Policy
    from prebill.store.configurations import POLICY, Status, in_force, with_status
    from prebill.store.engine import Store

    live = waiting = None
    try:
        with Store.open(settings.database_url) as store, store.read() as tx:
            live = in_force(tx, POLICY, datetime.now(UTC))
            waiting = with_status(tx, POLICY, Status.APPROVED)
    except PrebillError:
        pass  # the database has a line of its own
    try:
        installed = f"{settings.policy_path or 'the default'}"
        policy = Policy.parse(live.content if live else policy_text(settings.policy_path))
    except PrebillError as error:
        return [Note("missing", "policy", str(error))]
    source = f"{live.title}, in force since {live.live_from_at}" if live else installed
    notes = [Note("ok", "policy", f"{source}: {policy.name}, {policy.digest[:12]}")]
    if live and settings.policy_path:
        text = f"{settings.policy_path} is not read: {live.title} is in force"
        notes.append(Note("note", "policy", text))
    if waiting and (live is None or waiting.number != live.number):
        when = f"from {waiting.live_from_at}" if waiting.live_from_at else "once it is activated"
        notes.append(Note("note", "policy", f"{waiting.title} is approved, in force {when}"))
    return notes


def _of_webhook(settings: "Settings") -> Note:
    if settings.webhook_url is None:
        text = f"documents go to {settings.delivery_dir} only (no PREBILL_WEBHOOK_URL)"
        return Note("note", "delivery", text)
    if settings.webhook_secret is None:
        text = "PREBILL_WEBHOOK_SECRET is not set: a webhook must be signed"
        return Note("missing", "delivery", text)
    return Note("ok", "delivery", f"files and {settings.webhook_url}")


def _of_engines(settings: "Settings") -> list[Note]:
    """For whom the webhooks of each billing engine act, and what ends soon."""
    from prebill.connectors.billing_engines.registry import engines_of
    from prebill.core.errors import PrebillError
    from prebill.store.engine import Store

    try:
        engines = engines_of(settings)
        if not engines:
            return []
        with Store.open(settings.database_url) as store, store.read() as tx:
            return [_of_engine(tx, engine) for engine in engines.values()]
    except PrebillError as error:
        return [Note("missing", "engines", str(error))]


def _of_engine(tx: "Tx", engine: "Engine") -> Note:
    from prebill.core.errors import UnauthenticatedError
    from prebill.store.users import authenticate_secret, secret_ends_on

    manifest = engine.manifest
    try:
        actor = authenticate_secret(tx, manifest.system, engine.secret)
    except UnauthenticatedError as error:
        return Note("missing", manifest.system, str(error))
    ends_on = secret_ends_on(tx, manifest.system, engine.secret)
    text = (
        f"API {manifest.api_version}, look at it again by {manifest.version_ends_on}; "
        f"its webhooks act for {actor.name} until {ends_on}"
    )
    soon = datetime.now(UTC).date() + timedelta(days=ENDS_SOON_DAYS)
    state = "ok" if soon < min(ends_on, manifest.version_ends_on) else "note"
    return Note(state, manifest.system, text)


def _of_alerts(settings: "Settings") -> list[Note]:
    """Which channels alerts have; the console shows them in any case."""
    from prebill.core.errors import PrebillError
    from prebill.workflows.alert_channels import described
    from prebill.workflows.alerting import load_rules

    try:
        found = described(settings, load_rules(settings))
    except PrebillError as error:
        return [Note("missing", "alerts", str(error))]
    return [Note(state, "alerts", text) for state, text in found]


# ── A folder of canonical files ──────────────────────────────────────────────────────────────


def of_data(folder: Path) -> list[Note]:
    """Say which files and columns there are, what is lost without others, and what can be fitted.

    Raises
    ------
    InputError
        The folder or its invoices are absent, or a file can't be read.
    """
    import polars as pl

    from prebill.core.errors import InputError

    if not folder.is_dir():
        message = f"there is no folder {folder}"
        raise InputError(message, path=str(folder))
    files = _files(folder)
    if "invoices" not in files:
        message = f"{folder} has no invoices (.csv, .parquet or .ndjson): see `prebill template`"
        raise InputError(message, path=str(folder))
    notes = [_of_file(name, path) for name, path in files.items()]
    notes += [Note("missing", path.name, text) for path, text in _ambiguous(folder, files)]
    try:
        return notes + _losses(files) + _maturity(files)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        message = f"invoices or payments of {folder} can't be read: {str(error).splitlines()[0]}"
        raise InputError(message, path=str(folder)) from error


def _files(folder: Path) -> dict[str, Path]:
    """The canonical files that are there, in load order."""
    from prebill.core.schemas import INBOUND

    found: dict[str, Path] = {}
    for frame in INBOUND:
        paths = [folder / f"{frame.name}{suffix}" for suffix in SUFFIXES]
        for path in (path for path in paths if path.is_file()):
            found.setdefault(frame.name, path)
    return found


def _ambiguous(folder: Path, files: dict[str, Path]) -> list[tuple[Path, str]]:
    others = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path not in files.values()
    ]
    return [(path, "is no canonical name, or there twice: it is not read") for path in others]


def _scan(path: Path) -> "pl.LazyFrame":
    """Open a file with every CSV value as text: nothing is guessed."""
    import polars as pl

    from prebill.connectors.files.reader import first_line
    from prebill.core.errors import InputError

    readers = {".csv": pl.scan_csv, ".parquet": pl.scan_parquet, ".ndjson": pl.scan_ndjson}
    options = {"infer_schema": False} if path.suffix == ".csv" else {}
    try:
        if path.suffix == ".csv":
            with path.open("rb") as file:
                first_line(path, file)
        frame: pl.LazyFrame = readers[path.suffix](path, **options)  # type: ignore[operator]
        frame.collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        message = f"{path} can't be read: {str(error).splitlines()[0]}"
        raise InputError(message, path=str(path)) from error
    return frame


def _columns(path: Path) -> list[str]:
    return _scan(path).collect_schema().names()


def _of_file(name: str, path: Path) -> Note:
    import polars as pl

    from prebill.core.schemas import INBOUND

    frame = next(frame for frame in INBOUND if frame.name == name)
    scanned = _scan(path)
    given = set(_columns(path))
    required = [column.name for column in frame.columns if column.required]
    absent = [column for column in required if column not in given]
    if absent:
        return Note("missing", path.name, f"lacks required columns: {', '.join(absent)}")
    rows = scanned.select(pl.len()).collect().item()
    known = [column for column in frame.names if column in given]
    ignored = sorted(given - set(known))
    text = f"{rows:,} rows, {len(known)} of {len(frame.names)} columns"
    return Note("ok", path.name, text + (f"; ignored: {', '.join(ignored)}" if ignored else ""))


def _losses(files: dict[str, Path]) -> list[Note]:
    lost = []
    for place, judgement in LOSSES.items():
        name, _, column = place.partition(".")
        file_is_absent = not column and name not in files
        if file_is_absent or (column and name in files and column not in _columns(files[name])):
            lost.append(Note("lost", place, f"absent; not judged: {judgement}"))
    return lost


def _maturity(files: dict[str, Path]) -> list[Note]:
    """Invoices whose lateness is known whatever it is: due before the newest date in the folder."""
    import polars as pl

    from prebill.core.scoring.models.payment_spec import PaymentSpec, Rung

    if not {"customer_id", "issued_on", "due_on"} <= set(_columns(files["invoices"])):
        return []
    dates = _scan(files["invoices"]).select("customer_id", _day("issued_on"), _day("due_on"))
    invoices = dates.collect()
    newest_on = invoices["issued_on"].max()
    if "payments" in files and "paid_on" in _columns(files["payments"]):
        paid_on = _scan(files["payments"]).select(_day("paid_on").max()).collect().item()
        newest_on = max(filter(None, (newest_on, paid_on)), default=None)
    mature = invoices.filter(pl.col("due_on") < pl.lit(newest_on, pl.Date))
    customers = mature["customer_id"].n_unique()
    outcomes = mature.height if "payments" in files else 0
    rung = PaymentSpec().rung(outcomes, customers)
    meaning = {
        Rung.PRIOR: "too little for a model: the portfolio's own rate beside a stated prior",
        Rung.SMALL: "a small model",
        Rung.FULL: "the full model",
    }
    share = f"{mature.height:,} of {invoices.height:,} invoices, {customers:,} customers"
    return [
        Note("note", "history", f"{invoices['issued_on'].min()!s} to {newest_on!s}"),
        Note("note", "mature labels", f"{share}: due before {newest_on!s}"),
        Note("note", "payment risk", f"rung {rung}: {meaning[rung]}"),
        Note("note", "P(error)", "the stated prior: verdicts and other labels are no files"),
    ]


def _day(name: str) -> "pl.Expr":
    import polars as pl

    return pl.col(name).cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)

"""`prebill run`, `worker`, `reconcile`, `metrics`: bill a period and see what came of it."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from prebill.bootstrap import Installation
    from prebill.store.runs import Progress as RunProgress
    from prebill.store.runs import RunSummary
    from prebill.workflows.deliver import Delivered

EXIT_FINDINGS: Final = 1
#: As for every error that ends a command; see cli/__init__.py.
EXIT_CANNOT_GO_ON: Final = 3

Period = Annotated[str, typer.Option("--period", help="Month to bill, for example 2026-10.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command("run")(run)
    app.command("worker")(worker)
    app.command("reconcile")(reconcile)
    app.command("metrics")(metrics)


def run(
    period: Period,
    entity: Annotated[str | None, typer.Option(help="Only this legal entity.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Bill as of this instant, for example 2026-11-05T08:00Z; else now."),
    ] = None,
) -> None:
    """Bill a period: meter, price, tax, draft, judge, and issue what is clean.

    Run it again after a crash and it finishes; run it again after changes and only what changed
    becomes a new version.
    """
    from prebill.bootstrap import Installation
    from prebill.core.calendar import instant_of
    from prebill.settings import Settings
    from prebill.store.runs import run_summary
    from prebill.workflows import approving, deliver, plan, staging

    opened = Installation.open(Settings.load())
    staging.move_due(opened)
    run_id = plan.open_run(
        opened,
        period,
        as_of_at=instant_of(as_of) if as_of else None,
        now_at=datetime.now(UTC),
        entity_id=entity,
        actor=getpass.getuser(),
    )
    typer.secho(f"run {run_id}", err=True, dim=True)
    with opened.store.read() as tx:
        missing = approving.nobody_may(tx, opened)
    for sentence in missing:
        typer.secho(sentence, err=True, fg=typer.colors.YELLOW)
    _follow(opened, run_id)
    handed = deliver.deliver_due(opened)
    summary = run_summary(opened.store, run_id)
    for line in (*_told(summary), *_policy_said(opened, run_id), *_handed_over(handed)):
        typer.echo(line)
    if summary.status == "failed":
        raise typer.Exit(EXIT_CANNOT_GO_ON)


def _follow(opened: "Installation", run_id: str) -> None:
    """Show how far the run is until it has ended."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from prebill.workflows import runtime

    columns = (TextColumn("billing"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("billing", total=None)

        def report(progress: "RunProgress") -> None:
            bar.update(task, total=progress.shards, completed=progress.finished_shards)

        runtime.bill_to_end(opened, run_id, report=report)


def _told(summary: "RunSummary") -> list[str]:
    """The end of a run in words and money."""
    from prebill.core.money import format_minor

    if summary.status == "failed":
        return [f"failed      {summary.error}", "nothing of a failed shard was stored"]
    counts = summary.counts
    states = summary.states
    lines = [
        (
            f"events      {counts.get('events', 0):,} read, "
            f"{counts.get('metered_events', 0):,} metered, "
            f"{counts.get('duplicate_events', 0):,} duplicates, "
            f"{counts.get('unmatched_events', 0):,} in no charge"
        ),
        (
            f"drafts      {counts.get('drafts', 0):,} with {counts.get('lines', 0):,} lines, "
            f"{counts.get('skips', 0):,} charges skipped with a reason"
        ),
        (
            f"of these    {counts.get('fate_new', 0):,} new, "
            f"{counts.get('fate_replace', 0):,} new versions, "
            f"{counts.get('fate_promote', 0):,} now final, "
            f"{counts.get('fate_equal', 0):,} left as they were"
        ),
        "now         " + ", ".join(f"{count:,} {_WORDS[name]}" for name, count in states.items()),
    ]
    for currency, totals in summary.totals_minor.items():
        told = ", ".join(
            f"{_WORDS[name]} {format_minor(amount, currency)}" for name, amount in totals.items()
        )
        lines.append(f"{currency}         {told}")
    if counts.get("conflicting_events"):
        lines.append(
            f"conflicting {counts['conflicting_events']:,} events came with a known id and other "
            "content: not billed; the drafts concerned are in review"
        )
    if counts.get("waiting_for_usage"):
        lines.append(
            f"waiting     {counts['waiting_for_usage']:,} drafts wait for usage that has not all "
            "arrived, at the longest until their issue-by date"
        )
    if counts.get("gaps"):
        lines.append(f"missing     {counts['gaps']:,} invoices were expected and not drafted")
    lines += [_adjustment(one) for one in summary.adjustments[:20]]
    if len(summary.adjustments) > 20:
        lines.append(f"adjust      … and {len(summary.adjustments) - 20:,} more")
    return lines


def _policy_said(opened: "Installation", run_id: str) -> list[str]:
    """What a policy that only observes would have done, and the run's incident."""
    from prebill.store.incidents import incidents_of, not_in_effect

    with opened.store.read() as tx:
        passed = not_in_effect(tx, run_id)
        incident = incidents_of(tx, [run_id]).get(run_id)
    words = ", ".join(f"{action} {count:,}" for action, count in passed.items())
    lines = [f"not binding the policy would {words} more"] if passed else []
    return lines + ([f"INCIDENT    {incident['text']}"] if incident else [])


def _handed_over(handed: "Delivered") -> list[str]:
    """What was delivered now; the worker goes on with what has to wait."""
    lines = [f"delivered   {handed.delivered:,} documents"] if handed.delivered else []
    if handed.postponed:
        lines.append(f"waiting     {handed.postponed:,} deliveries are tried again by a worker")
    if handed.failed:
        lines.append(f"failed      {handed.failed:,} deliveries need a person")
    return lines + [f"            {error}" for error in handed.errors]


_WORDS: Final = {
    "draft": "not final yet",
    "in_review": "in review",
    "held": "held",
    "released": "released",
    "issued": "issued",
    "rejected": "rejected",
}


def _adjustment(one: dict[str, object]) -> str:
    return (
        f"adjust      {one['draft_id']} was issued at {one['issued_minor']} and would now be "
        f"{one['now_minor']} (minor units): it stays as issued; decide on a credit note"
    )


def worker(
    shards: Annotated[int, typer.Option(help="Shards at once in this process.")] = 1,
) -> None:
    """Run workflows, deliver documents and seal the audit log until interrupted."""
    import signal
    import threading

    from prebill import audit
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.telemetry import configure
    from prebill.workflows import alerting, configuration_life, deliver, promotion, runtime, staging
    from prebill.workflows.deadlines import after_deadline, raise_due
    from prebill.workflows.grouping import carry_on_all
    from prebill.workflows.upkeep import sweep_orphans

    configure()
    opened = Installation.open(Settings.load())
    working = runtime.Worker(opened, shards_at_once=shards)
    working.start()
    working.also(lambda: deliver.deliver_due(opened), every_seconds=1.0)
    working.also(lambda: staging.move_due(opened), every_seconds=10.0)
    working.also(lambda: audit.seal(opened.store, opened.settings.audit_heads_path), 5.0)
    office = promotion.Office(opened.settings, opened.store, "system")
    working.also(lambda: promotion.follow(office), 60.0)
    working.also(lambda: carry_on_all(opened), 30.0)
    working.also(lambda: raise_due(opened, datetime.now(UTC)), 60.0)
    working.also(lambda: after_deadline(opened, datetime.now(UTC)), 60.0)
    working.also(lambda: sweep_orphans(opened, datetime.now(UTC)), 3600.0)
    working.also(lambda: configuration_life.upkeep(opened), 10.0)
    working.also(lambda: alerting.keep_watch(opened), 5.0)
    working.also(lambda: alerting.check_audit(opened), 60.0)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    typer.echo(f"worker {working.worker_id} is waiting for work")
    while not stop.wait(1.0) and working.failure is None:
        pass
    failure = working.failure
    working.stop()
    opened.close()
    if failure is not None:
        raise failure


def reconcile(period: Period) -> None:
    """Compare what must agree, from different sources; list each difference with what to do."""
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.workflows.reconcile import reconcile_period

    opened = Installation.open(Settings.load())
    result = reconcile_period(opened, period)
    for side in result.sides:
        typer.echo(f"{'ok' if side.agrees else 'DIFFERS':8} {side.text}")
    for difference in result.differences:
        typer.secho(f"{difference.code}: {difference.text}", fg=typer.colors.RED)
        typer.echo(f"    {difference.advice}")
    if result.differences:
        raise typer.Exit(EXIT_FINDINGS)


def metrics(
    period: Annotated[str | None, typer.Option(help="Only this month.")] = None,
) -> None:
    """Print how fast, how often untouched, what waits; and how good the decisions were.

    What is wrong among the released comes from the random sample: see the queue `sample`. How often
    people do what is recommended, told and untold, and keep the first queue, is of all months.
    """
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.store.metrics import metrics_of
    from prebill.store.quality import quality_of
    from prebill.workflows.assisting import assistance_figures

    opened = Installation.open(Settings.load())
    now = datetime.now(UTC)
    for line in metrics_of(opened.store, period, now_at=now).lines():
        typer.echo(line)
    for line in quality_of(opened.store, period, opened.load_policy(), today=now.date()).lines():
        typer.echo(line)
    with opened.store.read() as tx:
        figures = assistance_figures(tx)
    for line in figures.lines():
        typer.echo(line)

"""The queue from the terminal: list, show, claim, release, correct, reject.

Every command acts for a named user: their token stands in PREBILL_TOKEN. `--as` only checks that
it is the user one thinks it is; it never makes anybody someone else.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prebill.cli.acting import As, acting_user, opened_installation

if TYPE_CHECKING:
    from prebill.api.decide import Kind
    from prebill.bootstrap import Installation
    from prebill.store.users import Actor

cases_app = typer.Typer(help="The queue: what waits for a person, the money first.")

Reason = Annotated[
    str, typer.Option(help="Why: a code such as unusual_but_right or wrong_price, or words.")
]
Note = Annotated[str, typer.Option(help="More words, kept with the verdict.")]
Version = Annotated[
    int | None,
    typer.Option("--version", help="Lock version you saw; without it, the present one is taken."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    cases_app.callback(invoke_without_command=True)(list_cases)
    cases_app.command("show")(show)
    cases_app.command("next")(take_next)
    cases_app.command("claim")(claim)
    cases_app.command("let-go")(let_go)
    app.add_typer(cases_app, name="cases")
    app.command("release")(release)
    app.command("correct")(correct)
    app.command("reject")(reject)


def list_cases(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    queue: Annotated[str, typer.Option(help="Only this queue.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List open cases, the most money per reviewer minute first.

    The queue `sample` has released invoices to look at: nothing waits for them.
    """
    if context.invoked_subcommand:
        return
    from prebill.store.console import CaseFilter, queue_totals
    from prebill.store.console import list_cases as read_cases

    with opened_installation() as opened:
        acting_user(opened, None)
        with opened.store.read() as tx:
            which = CaseFilter(queue=queue)
            rows = read_cases(tx, which, limit=limit)
            totals = queue_totals(tx, which)
    if as_json:
        typer.echo(json.dumps([_plain(row) for row in rows], indent=2))
        return
    _print_cases(rows)
    for line in _told_totals(totals):
        typer.echo(line)


def _told_totals(rows: list[dict[str, Any]]) -> list[str]:
    """One line a currency."""
    from prebill.console import words

    lines = []
    for currency in sorted({row["currency"] for row in rows if row["action"] != "release"}):
        own = [row for row in rows if row["currency"] == currency and row["action"] != "release"]
        loss = words.money(sum(int(row["expected_loss_minor"]) for row in own), currency)
        cases = words.counted(sum(row["cases"] for row in own), "case")
        lines.append(f"{cases}, expected loss {loss}")
    sampled = sum(row["cases"] for row in rows if row["action"] == "release")
    if sampled:
        lines.append(f"{words.counted(sampled, 'released invoice')} to look at: --queue sample")
    return lines


def _print_cases(rows: list[dict[str, Any]]) -> None:
    """Three lines a case; ids are whole, because they are what the next command needs."""
    from prebill.console import words
    from prebill.console.pages.queue import reason_of

    if not rows:
        typer.echo("no case waits")
    for row in rows:
        currency = row["currency"]
        typer.secho(row["case_id"], bold=True)
        customer = row["customer_name"] or row["customer_id"] or "–"
        billed = words.money(row["total_minor"], currency)
        loss = words.money(row["expected_loss_minor"], currency)
        wrong = words.likely(row["p_error"])
        action = row["kind"] if row["kind"] == "sample" else row["action"]
        owner = f", {row['owner']} works on it" if row["owner"] else ""
        told = f"{customer}, billed {billed}, expected loss {loss}, {wrong}{owner}"
        typer.echo(f"  {action:<6}  {told}")
        typer.echo(f"          {reason_of(row)}")


def show(
    case_id: str,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show one case: verdict, lines expected against billed, reasons by money, and what helps.

    For who may decide, corrections are tried, which takes some seconds: nothing is stored.
    """
    from prebill.console import words
    from prebill.console.assistance import help_lines
    from prebill.console.expectation import compare, findings_of
    from prebill.console.pages.case import ranked_findings, verdict_sentence
    from prebill.store.console import find_case

    with opened_installation() as opened:
        actor = acting_user(opened, None)
        with opened.store.read() as tx:
            case = find_case(tx, case_id)
            helped = help_lines(tx, case, opened.settings.withheld_share)
        if not as_json:
            helped += _change_lines(opened, actor, case)
    findings = findings_of(case["findings_json"], case["reasons"])
    lines = json.loads(case["lines_json"] or "[]")
    if as_json:
        typer.echo(json.dumps({**_plain(case), "findings": findings, "lines": lines}, indent=2))
        return
    comparison, currency = (
        compare(lines, findings, tax_minor=case["tax_minor"] or 0),
        case["currency"],
    )
    typer.secho(verdict_sentence(case, comparison, findings), bold=True)
    typer.echo(f"{case['customer_name'] or case['customer_id']}, {case['draft_id']}, "
               f"{case['status']}, version {case['lock_version']}")  # fmt: skip
    for gap in comparison.gaps:
        typer.echo(
            f"  {gap.line_id:>3} {gap.name[:40]:<40} "
            f"{words.bare_money(gap.expected_minor, currency):>15} "
            f"{words.bare_money(gap.billed_minor, currency):>15} "
            f"{words.signed_bare_money(gap.difference_minor, currency):>15}"
        )
    for one in ranked_findings(findings):
        amount = one.get("amount_minor")
        told = words.signed_money(amount, currency) if amount else "–"
        typer.echo(f"  {told:>20}  {one['text']}")
    for line in helped:
        typer.echo(line)


def _change_lines(opened: "Installation", actor: "Actor", case: dict[str, Any]) -> list[str]:
    """With what it would pass, and the command; nothing for those who may not decide."""
    from prebill.console.assistance import change_sentence, correct_command, reason_of
    from prebill.store.users import Role
    from prebill.workflows.smallest_change import smallest_change

    if actor.role < Role.REVIEWER or case["status"] != "open" or case["kind"] == "sample":
        return []
    found = smallest_change(opened, case["case_id"])
    told = change_sentence(found)
    return [told, correct_command(found, reason_of(case))] if found.steps else [f"change: {told}"]


def take_next(
    queue: Annotated[str, typer.Option(help="Only from this queue.")] = "", user: As = None
) -> None:
    """Claim the case that is worth most of those that nobody else works on, and show it."""
    from prebill.workflows import claiming

    with opened_installation() as opened:
        actor = _reviewer(opened, user)
        case_id = claiming.claim_next(opened, actor, queue=queue)
    if case_id is None:
        typer.echo("nothing waits that nobody else works on")
        return
    typer.echo(f"{case_id} is yours")
    show(case_id)


def claim(
    case_id: str,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also if somebody else works on it.")
    ] = False,
    user: As = None,
) -> None:
    """Claim a case: nobody else decides it while you are there, for 15 minutes."""
    from prebill.workflows import claiming

    with opened_installation() as opened:
        actor = _reviewer(opened, user)
        work = claiming.take_over if take_over else claiming.claim
        work(opened, case_id, actor.user_id)
    typer.echo(f"{case_id} is yours")


def let_go(case_id: str, user: As = None) -> None:
    """Give a claimed case back."""
    from prebill.workflows import claiming

    with opened_installation() as opened:
        actor = _reviewer(opened, user)
        claiming.let_go(opened, case_id, actor.user_id)
    typer.echo(f"{case_id} is free")


def release(
    case_id: str,
    reason: Reason,
    note: Note = "",
    alone_because: Annotated[
        str, typer.Option(help="Why a controller can't wait for the others; reviewed later.")
    ] = "",
    user: As = None,
    version: Version = None,
) -> None:
    """Release a case: the draft is issued as it is, once everybody whom the policy wants agreed."""
    _decide(
        "release",
        case_id,
        reason,
        note=note,
        user=user,
        version=version,
        alone_because=alone_because,
    )


def reject(
    case_id: str, reason: Reason, note: Note = "", user: As = None, version: Version = None
) -> None:
    """Reject a case: the draft is not issued."""
    _decide("reject", case_id, reason, note=note, user=user, version=version)


def correct(
    case_id: str,
    reason: Reason,
    kind: Annotated[str, typer.Option(help="usage_quantity, phase, tax_status or one_off_line")],
    value: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of the correction, for example quantity=120."),
    ] = None,
    note: Note = "",
    user: As = None,
    version: Version = None,
) -> None:
    """Correct a case at its source: the draft becomes a new version and is judged again."""
    given: dict[str, Any] = {"kind": kind}
    for one in value or []:
        name, separator, text = one.partition("=")
        if not separator:
            raise typer.BadParameter(f"{one!r} is not NAME=VALUE")
        given[name] = _typed(name, text)
    _decide("correct", case_id, reason, note=note, user=user, version=version, correction=given)


def _typed(name: str, text: str) -> object:
    if name == "amount_minor" and text.lstrip("-").isdecimal():
        return int(text)
    return text.lower() in {"yes", "true"} if name == "is_business" else text


def _decide(
    kind: "Kind",
    case_id: str,
    reason: str,
    *,
    note: str,
    user: str | None,
    version: int | None,
    correction: dict[str, Any] | None = None,
    alone_because: str = "",
) -> None:
    from prebill.api.decide import Decision, decide
    from prebill.store.console import find_case

    with opened_installation() as opened:
        actor = acting_user(opened, user)
        with opened.store.read() as tx:
            seen = find_case(tx, case_id)["lock_version"] if version is None else version
        decision = Decision(kind, case_id, seen, reason, note, correction, alone_because)
        done = decide(opened, actor, decision)
    if done.left:
        typer.echo(f"{done.draft_id}: signed by {actor.name}, {done.left} more must sign")
        return
    issued = f" as {done.document_id}" if done.document_id else ""
    typer.echo(f"{done.draft_id}: {done.state}{issued}, decided by {actor.name}")
    if done.new_case_id:
        typer.echo(f"the new version waits again: {done.new_case_id}")


def _reviewer(opened: "Installation", user: str | None) -> "Actor":
    from prebill.api.auth import require
    from prebill.store.users import Role

    return require(acting_user(opened, user), Role.REVIEWER)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: without the JSON texts that stand beside it."""
    left_out = {"findings_json", "lines_json"}
    plain = {name: value for name, value in row.items() if name not in left_out}
    return {**plain, "reasons": json.loads(row["reasons"] or "[]")}

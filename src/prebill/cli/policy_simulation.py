"""`prebill policy simulate`, `diff`, `shadow`, `optimise`: what a policy would do, beforehand.

They read stored decisions and change nothing. They act for the user of PREBILL_TOKEN.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from prebill.cli.acting import acting_user, opened_installation
from prebill.cli.policy import policy_app

if TYPE_CHECKING:
    import polars as pl

    from prebill.bootstrap import Installation
    from prebill.core.policy.optimise import Point
    from prebill.workflows.policy_optimisation import Proposal
    from prebill.workflows.policy_simulation import PolicyEffect, Question

LIVE: Final = "live"

Against = Annotated[
    str, typer.Option(help="A policy text to compare with; live: what is in force.")
]
Since = Annotated[
    str | None, typer.Option(help="Only drafts to be issued from this day on, YYYY-MM-DD.")
]
HoursPerDay = Annotated[
    float, typer.Option(min=0.1, help="Hours a day of all reviewers, for the share of late cases.")
]
Currency = Annotated[
    str | None, typer.Option(help="Of sums over currencies; else that of most legal entities.")
]
Listing = Annotated[
    str | None,
    typer.Option("--list", help='Drafts behind a figure, as "hold->release rule=loss-review".'),
]
Out = Annotated[Path | None, typer.Option(help="Write them to this file, .csv or .parquet.")]
AsJson = Annotated[bool, typer.Option("--json", help="Everything, as JSON.")]


def register(app: typer.Typer) -> None:  # noqa: ARG001
    """Add the commands of this area, to those of `prebill policy`."""
    for command in (simulate, diff, shadow, optimise):
        policy_app.command(command.__name__)(command)


def simulate(
    file: Annotated[str, typer.Argument(help="The candidate: a policy text.")],
    against: Against = LIVE,
    since: Since = None,
    hours_per_day: HoursPerDay = 8.0,
    currency: Currency = None,
    listing: Listing = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Ask a candidate about all stored decisions: what moves, and what that is worth.

    Exit code 1: some decision would be another one.
    """
    with opened_installation() as opened:
        acting_user(opened, None)
        question = _question(since, hours_per_day, currency)
        _show(_effect(opened, against, file, question), listing, out, as_json=as_json)


def diff(
    before: Annotated[str, typer.Argument(help="A policy text, or live.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    since: Since = None,
    hours_per_day: HoursPerDay = 8.0,
    currency: Currency = None,
    listing: Listing = None,
    out: Out = None,
) -> None:
    """Show how two policy texts differ, and what the difference does to stored decisions."""
    from difflib import unified_diff

    with opened_installation() as opened:
        acting_user(opened, None)
        one, two = (_text(opened, name).splitlines() for name in (before, after))
        lines = list(unified_diff(one, two, before, after, lineterm=""))
        for line in lines or ["the texts are the same"]:
            typer.echo(line)
        typer.echo("")
        question = _question(since, hours_per_day, currency)
        _show(_effect(opened, before, after, question), listing, out, as_json=False)


def shadow(
    file: Annotated[str, typer.Argument(help="The candidate: a policy text.")],
    since: Annotated[
        str, typer.Option(help="When it was named: an instant such as 2026-11-05T18:00Z.")
    ],
    against: Against = LIVE,
    hours_per_day: HoursPerDay = 8.0,
    currency: Currency = None,
    listing: Listing = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Report what a candidate would have done with the decisions since it was named.

    Runs and the hook keep with every decision what the policy was given, so that a candidate runs
    beside live traffic without costing it anything: this asks it now.
    """
    from dataclasses import replace

    with opened_installation() as opened:
        acting_user(opened, None)
        question = replace(_question(None, hours_per_day, currency), since_at=_instant(since))
        _show(_effect(opened, against, file, question), listing, out, as_json=as_json)


def optimise(
    hours: Annotated[float, typer.Option(min=0.0, help="Reviewer hours there are in a cycle.")],
    file: Annotated[str, typer.Argument(help="A policy text, or live.")] = LIVE,
    since: Since = None,
    currency: Currency = None,
    out: Annotated[Path | None, typer.Option(help="Write the proposed policy text here.")] = None,
) -> None:
    """Propose the limits that save most money in so many reviewer hours, and price one more.

    Moved are the limits of score_at_least and loss_at_least rules that ask for a review.
    """
    from prebill.workflows.policy_optimisation import optimised

    with opened_installation() as opened:
        acting_user(opened, None)
        text = _text(opened, file)
        question = _question(since, 8.0, currency)
        found = optimised(opened, text, hours, question, f"optimised for {hours:g} hours")
    _show_proposal(found)
    if out is not None:
        out.write_text(found.text, encoding="utf-8")
        typer.echo(f"written to {out}: check it with `prebill policy simulate {out}`")


# ── What is asked ────────────────────────────────────────────────────────────────────────────


def _question(since: str | None, hours_per_day: float, currency: str | None) -> "Question":
    from prebill.core.errors import InputError
    from prebill.workflows.policy_simulation import Question

    try:
        since_on = None if since is None else date.fromisoformat(since)
    except ValueError:
        message = f"{since!r} is not a day: write it as 2026-11-05"
        raise InputError(message, since=since) from None
    return Question(datetime.now(UTC).date(), since_on, None, hours_per_day, currency)


def _instant(text: str) -> datetime:
    from prebill.core.errors import InputError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        message = f"{text!r} is no instant with its zone: write it as 2026-11-05T18:00Z"
        raise InputError(message, since=text)
    return found


def _text(opened: "Installation", name: str) -> str:
    from prebill.bootstrap import policy_text

    if name != LIVE:
        return policy_text(Path(name))
    with opened.store.read() as tx:
        return opened.policy_content(tx)


def _effect(
    opened: "Installation", before: str, after: str, question: "Question"
) -> "PolicyEffect":
    from prebill.core.policy.model import Policy
    from prebill.workflows.policy_simulation import effect_of

    first, second = (Policy.parse(_text(opened, name)) for name in (before, after))
    return effect_of(opened, first, second, question)


# ── What is shown ────────────────────────────────────────────────────────────────────────────


def _show(effect: "PolicyEffect", listing: str | None, out: Path | None, *, as_json: bool) -> None:
    from prebill.core.policy.simulate import listed

    if listing is not None:
        _write(listed(effect.simulation, listing), out)
    elif as_json:
        typer.echo(json.dumps(effect.summary, indent=2))
    else:
        for line in effect_lines(effect.summary):
            typer.echo(line)
    if effect.summary["moved"]:
        raise typer.Exit(1)


def _write(rows: "pl.DataFrame", out: Path | None) -> None:
    from prebill.core.errors import InputError

    if out is None:
        typer.echo(rows.write_csv(), nl=False)
    elif out.suffix == ".parquet":
        rows.write_parquet(out)
    elif out.suffix == ".csv":
        rows.write_csv(out)
    else:
        message = f"{out} is neither .csv nor .parquet"
        raise InputError(message, out=str(out))
    if out is not None:
        typer.echo(f"{rows.height:,} drafts in {out}")


def effect_lines(summary: dict[str, Any]) -> list[str]:
    """A summary for the terminal; figures in brackets are 95 % intervals."""
    sides = (summary["against"], summary["candidate"])
    lines = [
        f"{name:<10} {one['name']} {one['digest'][:12]}"
        for name, one in zip(("before", "after"), sides, strict=True)
    ]
    lines += [
        f"decisions  {summary['decisions']:,}, {summary['moved']:,} would be another one",
        f"issued     {summary['from']} to {summary['until']}",
        "",
        _pair("", "before", "after"),
    ]
    for action in ("release", "review", "hold"):
        lines.append(_pair(action, *(f"{s[action]:,}" for s in _sides(summary["stopped"]))))
    lines += [*_money_lines(summary), *_quality_lines(summary), *_work_lines(summary)]
    lines += [*_moved_lines(summary), *(f"note: {note}" for note in summary["notes"])]
    return lines


def _sides(part: dict[str, Any]) -> tuple[Any, Any]:
    return part["before"], part["after"]


def _pair(title: str, before: str, after: str) -> str:
    return f"{title:<40}{before:>16}{after:>16}"


def _money_lines(summary: dict[str, Any]) -> list[str]:
    from prebill.core.money import format_minor

    lines = []
    titles = {
        "stopped": "stopped",
        "loss_stopped": "loss expected, stopped",
        "loss_let_through": "loss expected, let through",
    }
    for one in summary["money"]:
        currency = one["currency"]
        for name, title in titles.items():
            cells = [
                format_minor(one[f"{name}_{side}_minor"], currency).removesuffix(f" {currency}")
                for side in ("before", "after")
            ]
            lines.append(_pair(f"{title}, {currency}", *cells))
    reported = summary["reporting"]
    if len(summary["money"]) > 1:
        for name, title in titles.items():
            cells = [f"{float(reported[f'{name}_{side}']):,.0f}" for side in ("before", "after")]
            lines.append(_pair(f"{title}, all in {reported['currency']}", *cells))
    return lines


def _quality_lines(summary: dict[str, Any]) -> list[str]:
    before, after = _sides(summary["quality"])
    if not before["labels"]:
        return ["no label is mature: precision and recall can't be told"]
    lines = [
        f"{title:<32}{_share(before[name]):>24}{_share(after[name]):>24}"
        for name, title in (("precision", "right to stop"), ("recall", "of what is wrong stopped"))
    ]
    return [*lines, f"  from {before['labels']:,} labels, {before['errors']:,} of them wrong"]


def _share(one: dict[str, float] | None) -> str:
    if one is None:
        return "not known"
    return f"{one['value']:.1%} ({one['low']:.1%}, {one['high']:.1%})"


def _work_lines(summary: dict[str, Any]) -> list[str]:
    middle, sla = summary["work"]["per_cycle"], summary["sla"]
    minutes = summary["work"]["measured_minutes"]
    stated = "as the policies state" if minutes is None else f"{minutes:.1f} minutes, as measured"
    late = [("no case" if share is None else f"{share:.1%}") for share in _sides(sla)]
    return [
        _pair("cases in a middle cycle", *(f"{middle[f'cases_{s}']:,.0f}" for s in _BOTH)),
        _pair("reviewer hours", *(f"{middle[f'hours_{s}']:,.1f}" for s in _BOTH)) + f"  {stated}",
        _pair("answered late", *late) + f"  with {sla['hours_per_day']:g} reviewer hours a day",
    ]


_BOTH: Final = ("before", "after")


def _moved_lines(summary: dict[str, Any]) -> list[str]:
    from prebill.core.money import format_minor

    lines = []
    for name, cells in summary["moved_by"].items():
        if not cells or (name in {"class", "entity"} and not any(one["value"] for one in cells)):
            continue
        lines += ["", f"moved by {name}"]
        for one in cells:
            money = format_minor(one["total_minor"], one["currency"])
            lines.append(f"  {one['decisions']:>8,} {money:>22}  {one['list']}")
    if lines:
        lines += ["", 'the drafts of a line: --list "..." [--out F.csv]']
    return lines


def _show_proposal(found: "Proposal") -> None:
    basis = "labels" if found.basis == "labels" else "P(error)"
    typer.echo(f"money is what looking saves, by {basis}, in {found.currency} a cycle")
    typer.echo(f"{'reviewer hours':>16}{'saved':>16}{'one more hour saves':>22}")
    for point in found.curve:
        typer.echo(_point(point))
    typer.echo("proposed")
    typer.echo(_point(found.chosen))
    for dial in found.moving:
        limit = found.chosen.limits[dial.rule_id]
        typer.echo(f"  {dial.rule_id}: {dial.limit:g} -> {limit:.12g}")
    if found.validated_from is not None:
        typer.echo(f"on later decisions, from {found.validated_from}")
    for title, point in (("as it is", found.before), ("proposed", found.after)):
        typer.echo(f"  {title:<10} {point.hours:,.1f} hours, {point.saved:,.0f} saved")
    for note in found.notes:
        typer.echo(f"note: {note}")


def _point(point: "Point") -> str:
    return f"{point.hours:>16,.1f}{point.saved:>16,.0f}{point.hour_worth:>22,.0f}"

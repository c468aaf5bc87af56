"""What a simulation that is attached to a policy says, in words: figures before and after."""

from collections.abc import Iterator
from typing import Any

from prebill.console import words
from prebill.console.policy_views import Change, SimulationView

_ACTIONS = {"release": "Released", "review": "To review", "hold": "Held"}


def simulation_view(found: dict[str, Any]) -> SimulationView:
    """Read the summary of a simulation; what it does not tell is left out."""
    decisions, moved = int(found.get("decisions", 0)), int(found.get("moved", 0))
    summary = (
        f"{words.counted(moved, 'decision')} of {decisions:,} would be another"
        if decisions
        else "There was no decision to ask about"
    )
    span = (found.get("from"), found.get("until"))
    basis = f"Drafts of {words.day(span[0])} to {words.day(span[1])}" if all(span) else ""
    return SimulationView(
        summary,
        basis,
        moves=tuple(_move(one) for one in found.get("moves", ()) if _is_moved(one)),
        changes=tuple(_changes(found)),
        notes=tuple(found.get("notes", ())),
    )


def _is_moved(cell: dict[str, Any]) -> bool:
    return bool(cell["action_before"] != cell["action_after"])


def _move(cell: dict[str, Any]) -> str:
    """One cell of the table by action before and after, with its money."""
    money = words.money(cell["total_minor"], cell["currency"])
    drafts = words.counted(cell["decisions"], "draft")
    return f"{cell['action_before']} → {cell['action_after']}: {drafts}, {money}"


def _changes(found: dict[str, Any]) -> Iterator[Change]:
    stopped = found.get("stopped", {})
    for action, name in _ACTIONS.items():
        if "before" in stopped and "after" in stopped:
            yield Change(
                name,
                f"{stopped['before'].get(action, 0):,}",
                f"{stopped['after'].get(action, 0):,}",
            )
    for row in found.get("money", ()):
        yield from _money(row)
    quality = found.get("quality", {})
    for figure, name in (("precision", "Stopped and wrong"), ("recall", "Wrong and stopped")):
        sides = [quality.get(side, {}).get(figure) for side in ("before", "after")]
        if any(sides):
            yield Change(name, *(_estimate(side) for side in sides))
    per_cycle = found.get("work", {}).get("per_cycle", {})
    for thing, name, form in (
        ("cases", "Cases a cycle", "{:,.0f}"),
        ("hours", "Reviewer hours a cycle", "{:,.1f}"),
    ):
        sides = [per_cycle.get(f"{thing}_{side}") for side in ("before", "after")]
        if None not in sides:
            yield Change(name, *(form.format(side) for side in sides))
    sla = found.get("sla", {})
    if sla.get("before") is not None and sla.get("after") is not None:
        yield Change(
            "Cases past their time", words.percent(sla["before"]), words.percent(sla["after"])
        )


def _estimate(found: dict[str, float] | None) -> str:
    """A share with its 95 % interval."""
    if not found:
        return "–"
    low, high = (words.percent(found[end]) for end in ("low", "high"))
    return f"{words.percent(found['value'])} ({low} to {high})"


def _money(row: dict[str, Any]) -> Iterator[Change]:
    currency = row["currency"]
    for figure, name in (
        ("stopped", "Money stopped"),
        ("loss_stopped", "Expected loss stopped"),
        ("loss_let_through", "Expected loss let through"),
    ):
        sides = [row.get(f"{figure}_{side}_minor") for side in ("before", "after")]
        if None not in sides:
            before, after = (words.money(side, currency) for side in sides)
            yield Change(name, before, after)

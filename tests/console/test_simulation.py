"""What a simulation says on the page of a policy."""

from prebill.console.policy_views import Change
from prebill.console.simulation import simulation_view

MOVED = {"action_before": "hold", "action_after": "review", "currency": "EUR"}
FOUND = {
    "decisions": 1200,
    "moved": 1,
    "from": "2026-10-01",
    "until": "2026-11-05",
    "moves": [
        MOVED | {"decisions": 1, "total_minor": 151_689},
        MOVED | {"action_after": "hold", "decisions": 9, "total_minor": 1},
    ],
    "stopped": {"before": {"hold": 10, "release": 1190}, "after": {"hold": 9, "review": 1}},
    "money": [{"currency": "JPY", "stopped_before_minor": 500, "stopped_after_minor": 0}],
    "quality": {"before": {"precision": {"value": 0.5, "low": 0.2, "high": 0.8}}, "after": {}},
    "work": {"per_cycle": {"cases_before": 12.0, "cases_after": 3.0}},
    "sla": {"before": 0.25, "after": 0.0},
    "notes": ["Missing invoices are not counted."],
}


def test_figures_stand_side_by_side() -> None:
    view = simulation_view(FOUND)
    assert "1 decision of 1,200 would be another" == view.summary
    assert "Drafts of 1 Oct 2026 to 5 Nov 2026" == view.basis
    assert ("hold → review: 1 draft, 1,516.89 EUR",) == view.moves  # what stays is no move
    assert {
        Change("Released", "1,190", "0"),
        Change("Held", "10", "9"),
        Change("To review", "0", "1"),
        Change("Money stopped", "500 JPY", "0 JPY"),
        Change("Stopped and wrong", "50 % (20 % to 80 %)", "–"),
        Change("Cases a cycle", "12", "3"),
        Change("Cases past their time", "25 %", "0 %"),
    } == set(view.changes)
    assert ("Missing invoices are not counted.",) == view.notes


def test_nothing_decided_yet_is_said() -> None:
    view = simulation_view({"decisions": 0, "notes": ["nothing was decided yet"]})
    assert "There was no decision to ask about" == view.summary
    assert ("", (), ()) == (view.basis, view.moves, view.changes)

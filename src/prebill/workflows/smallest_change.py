"""The smallest change with which a held draft would be released: tried for real, stored nowhere.

Each candidate goes the way of a correction: what is known today is gathered, the draft is priced
and judged again, and the live policy decides. One correction is tried before two.
"""

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prebill.bootstrap import Installation
from prebill.core.errors import InputError, PrebillError
from prebill.core.scoring.labels import SAMPLE
from prebill.store.console import find_case
from prebill.store.drafts import live_draft
from prebill.store.engine import Row
from prebill.workflows.candidates import CORRECTABLE, Candidate, Question, candidates
from prebill.workflows.correct import Gathered, gather_again, judge_again
from prebill.workflows.correction_kinds import as_json

#: Judgements a case may cost; each takes as long as a correction.
MOST_TRIES: Final = 6
#: How long a case waits for others to be tried.
PATIENCE_SECONDS: Final = 15.0
#: Who is named as the author of what is stored nowhere.
_NOBODY: Final = "proposal"
#: A draft is judged by all cores: a second one at the same time only makes both late.
_one_at_a_time: Final = threading.Lock()

_ELSEWHERE: Final = {
    "gap": "No draft was made, so none can be changed: enter the subscription at its source and "
    "run the period again.",
    "gate": "It is corrected in the engine that drafted it; nothing can be tried here.",
    SAMPLE: "It is issued already: nothing waits.",
}
_REJECT: Final = {
    "duplicate_contract": "The contract is billed twice: no correction makes a second invoice "
    "right. Reject this one.",
    "duplicate_invoice": "The same invoice stands twice: one is right, the other to be rejected.",
}
_STATISTICAL: Final = (
    "Only what is unusual speaks against it, and no judge knows what would be right."
)
_NO_CANDIDATE: Final = (
    "What the judges object to can't be mended by a correction of usage, subscription or tax "
    "status alone."
)


@dataclass(frozen=True, slots=True)
class SmallestChange:
    """Corrections with which the live policy would release, or why there are none.

    ``steps`` are entered one after the other. ``total_minor`` is in ``currency`` as drafted,
    ``new_total_minor`` in ``new_currency``, which is another one only where the draft's was wrong.
    """

    case_id: str
    currency: str
    steps: tuple[Candidate, ...] = ()
    total_minor: int = 0
    new_currency: str = ""
    new_total_minor: int = 0
    #: How often the draft was judged again.
    tried: int = 0
    why_not: str = ""

    @property
    def corrections(self) -> list[dict[str, Any]]:
        """The steps as ``POST …:correct`` takes them."""
        return [as_json(one.correction) for one in self.steps]

    @property
    def difference_minor(self) -> int | None:
        """What the total changes by; < 0: less is billed. None: the currency changes."""
        if self.new_currency != self.currency:
            return None
        return self.new_total_minor - self.total_minor


def smallest_change(opened: Installation, case_id: str) -> SmallestChange:
    """Find the smallest change with which the draft of a case would be released.

    Raises
    ------
    NotFoundError
        There is no such case.
    """
    with opened.store.read() as tx:
        case = find_case(tx, case_id)
        draft = live_draft(tx, case["draft_id"])
    why_not = reason_against(case)
    if why_not or draft is None or draft["version"] != case["draft_version"]:
        return _none(case, why_not or "The draft changed meanwhile: reload the case.")
    question = Question(
        draft, json.loads(case["lines_json"] or "[]"), json.loads(case["findings_json"] or "[]")
    )
    try:
        if not _one_at_a_time.acquire(timeout=PATIENCE_SECONDS):
            return _none(case, "Other cases are being tried at the moment: ask again.")
        try:
            gathered = gather_again(opened, draft, now_at=datetime.now(UTC))
            return _searched(case, gathered, candidates(question, gathered.inputs))
        finally:
            _one_at_a_time.release()
    except PrebillError as error:
        return _none(case, f"It could not be tried: {error}.")


def reason_against(case: Row) -> str:
    """Why nothing has to be tried; empty: a correction may help."""
    if case["status"] != "open":
        return "The case is closed."
    if case["kind"] in _ELSEWHERE:
        return _ELSEWHERE[case["kind"]]
    findings = json.loads(case["findings_json"] or "[]")
    codes = {str(one["code"]) for one in findings if one["basis"] == "exact"}
    for code, told in _REJECT.items():
        if code in codes:
            return told
    if not codes:
        return _STATISTICAL
    return "" if codes & set(CORRECTABLE) else _NO_CANDIDATE


def _searched(case: Row, gathered: Gathered, found: Sequence[Candidate]) -> SmallestChange:
    if not found:
        return _none(case, _NO_CANDIDATE)
    tried = 0
    for steps in itertools.islice(_ordered(found), MOST_TRIES):
        tried += 1
        released = _released(gathered, steps)
        if released is not None:
            return SmallestChange(
                case["case_id"],
                case["currency"],
                steps,
                total_minor=int(case["total_minor"] or 0),
                new_currency=released["currency"],
                new_total_minor=released["total_minor"],
                tried=tried,
            )
    told = "; ".join(one.text for one in found[:MOST_TRIES])
    return _none(case, f"Tried, and it would still be stopped: {told}.", tried)


def _ordered(found: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    yield from ((one,) for one in found)
    yield from itertools.combinations(found, 2)


def _released(gathered: Gathered, steps: Sequence[Candidate]) -> Row | None:
    """The draft with some corrections; None: the policy would stop it, or they can't be made."""
    try:
        rows = judge_again(gathered, [one.correction for one in steps], actor=_NOBODY)
    except InputError:
        return None
    if rows.decisions["action"][0] != "release":
        return None
    return rows.drafts.row(0, named=True)


def _none(case: Row, why_not: str, tried: int = 0) -> SmallestChange:
    total_minor = int(case["total_minor"] or 0)
    return SmallestChange(
        case["case_id"],
        case["currency"],
        total_minor=total_minor,
        new_currency=case["currency"],
        new_total_minor=total_minor,
        tried=tried,
        why_not=why_not,
    )

"""What is proposed so that the invoice of a case is paid: terms, and the first dunning step."""

from datetime import date
from typing import Any

import polars as pl

from prebill.core.collections.dunning import propose
from prebill.core.policy.collecting import Collecting

Row = dict[str, Any]


def proposal_of(case: Row, limits: Collecting) -> Row | None:
    """Propose terms and the first step for a whole case; see ``core/collections/dunning.py``.

    Made when it is read, from the stored payment figures and the policy in force now. None: there
    are no payment figures, as for a gap, or they are not shown, as in an open case of the sample.
    """
    if case["p_late"] is None:
        return None
    issued_on, due_on = _day(case["issued_on"]), _day(case["due_on"])
    terms_days = case["payment_terms_days"]
    if issued_on is not None and due_on is not None:
        terms_days = (due_on - issued_on).days
    decided = pl.DataFrame(
        {
            "invoice_id": [case["draft_id"]],
            **{name: [case[name]] for name in ("p_late", "days_late_p50", "days_late_p90")},
            "terms_days": pl.Series([terms_days], dtype=pl.Int64),
            "due_on": pl.Series([due_on], dtype=pl.Date),
        }
    )
    proposed = propose(decided, limits).row(0, named=True)
    del proposed["invoice_id"]
    return proposed


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)

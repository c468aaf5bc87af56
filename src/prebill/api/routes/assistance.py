"""Help on a case over HTTP: what others decided, and with which change it would pass."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel

from prebill.api.auth import Decider, Reader
from prebill.api.context import Served
from prebill.store.console import find_case
from prebill.workflows.assisting import assistance_of
from prebill.workflows.smallest_change import smallest_change

router: Final = APIRouter(prefix="/v1", tags=["cases"])


class SmallestChangeBody(BaseModel):
    """Corrections with which the live policy would release the draft, and what they change.

    Enter ``corrections`` one after the other with ``:correct``. Where there are none, ``why_not``
    says why. Totals are minor units with tax.
    """

    case_id: str
    corrections: list[dict[str, Any]]
    texts: list[str]
    currency: str
    total_minor: int
    new_currency: str
    new_total_minor: int
    #: How often the draft was judged again to find out.
    tried: int
    why_not: str


class Recommended(BaseModel):
    """``action``: release, correct, reject; look: none is likely enough."""

    action: str
    confidence: float | None
    #: rules, or verdicts: learnt from them.
    basis: str


class Similar(BaseModel):
    """A resolved case; ``distance`` from 0, the same in all parts, to 1."""

    case_id: str
    customer_id: str | None
    verdict: str
    reason_code: str
    resolved_by: str
    resolved_at: str
    currency: str
    amount_minor: int
    codes: list[str]
    distance: float


class UsualBody(BaseModel):
    """The most frequent value, and how many of how many cases had it."""

    value: str
    count: int
    of: int


class RoutingBody(BaseModel):
    """Where and by whom cases of the leading reason were resolved, and what was wrong."""

    code: str
    queue: UsualBody
    owner: UsualBody
    cause: UsualBody | None
    #: Resolved in the queue where they were opened.
    stuck: int


class AssistanceBody(BaseModel):
    """What others decided. A case of the random sample has none before its answer."""

    #: Null: withheld, or there is none.
    recommendation: Recommended | None
    is_withheld: bool
    similar: list[Similar]
    routing: RoutingBody | None


@router.get("/cases/{case_id:path}/smallest-change")
def get_smallest_change(case_id: str, served: Served, _: Decider) -> SmallestChangeBody:
    """Try corrections of a case for real and tell the smallest one that passes; stores nothing."""
    found = smallest_change(served.installation, case_id)
    return SmallestChangeBody(
        case_id=case_id,
        corrections=found.corrections,
        texts=[one.text for one in found.steps],
        currency=found.currency,
        total_minor=found.total_minor,
        new_currency=found.new_currency,
        new_total_minor=found.new_total_minor,
        tried=found.tried,
        why_not=found.why_not,
    )


@router.get("/cases/{case_id:path}/assistance")
def get_assistance(case_id: str, served: Served, _: Reader) -> AssistanceBody:
    """Return a recommendation, similar cases, and where such cases are usually resolved."""
    share = served.installation.settings.withheld_share
    with served.store.read() as tx:
        found = assistance_of(tx, find_case(tx, case_id), share)
    if found is None:
        return AssistanceBody(recommendation=None, is_withheld=True, similar=[], routing=None)
    told, routing = found.recommendation, found.routing
    return AssistanceBody(
        recommendation=None
        if told is None
        else Recommended(action=told.action, confidence=told.confidence, basis=told.basis),
        is_withheld=found.is_withheld,
        similar=[
            Similar(
                **{
                    **row,
                    "codes": row["codes"].split(","),
                    "resolved_at": row["resolved_at"].isoformat(),
                }
            )
            for row in found.similar.select(_SIMILAR).iter_rows(named=True)
        ],
        routing=None
        if routing is None
        else RoutingBody.model_validate(routing, from_attributes=True),
    )


_SIMILAR: Final = list(Similar.model_fields)

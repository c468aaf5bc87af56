"""``POST /v1/invoices:score``: the hook that a billing engine calls before it releases."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from prebill.api.auth import Operator
from prebill.api.context import Served

router: Final = APIRouter(prefix="/v1", tags=["gate"])


class InvoicesBody(BaseModel):
    """Invoices and their lines with the columns of the data contracts of the same names.

    Decimals may be texts, so that no digit is lost; further fields are ignored.
    """

    model_config = ConfigDict(extra="forbid")

    invoices: list[dict[str, Any]] = Field(min_length=1)
    invoice_lines: list[dict[str, Any]] = []


@router.post("/invoices:score")
def score_invoices(body: InvoicesBody, served: Served, actor: Operator) -> dict[str, Any]:
    """Judge one invoice or a small batch: release, review or hold, with reasons in money.

    The same content gets the same decision again, however often it is sent.
    """
    given = {"invoices": body.invoices, "invoice_lines": body.invoice_lines}
    return {"decisions": served.hook.score(served.catalog, given, actor)}

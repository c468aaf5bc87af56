"""What one invoice is judged against beside its own customer's past, as bytes to keep.

Learnt from a company's history by ``company_of``; the hook reads it instead of the history.
"""

import base64
import io
import json
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from prebill.core.scoring.features import invariants, treatment
from prebill.core.scoring.features.payment_everyone import Everyone
from prebill.core.scoring.frames import Books, ScoringInputs, reference_customers, settle, visible
from prebill.core.scoring.models.forest import Forest
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.profiles import Everybody, everybody_of
from prebill.core.scoring.scorer import learn
from prebill.core.scoring.tails import Yardstick


@dataclass(frozen=True, slots=True)
class Company:
    """Norms, and the latest of what everybody's invoices had."""

    norms: Norms
    everybody: Everybody

    def to_json(self) -> str:
        """Write it as JSON text: frames as Arrow files, samples as ``.npz``, both in base64."""
        norms, places = self.norms, self.everybody.places
        return json.dumps(
            {
                "line_shares": norms.line_shares,
                "repeat_share": norms.repeat_share,
                "judges": list(norms.judges),
                "payers": None if norms.payers is None else norms.payers.to_lists(),
                "tails": base64.b64encode(norms.tails.to_npz()).decode(),
                "constancy": _packed(norms.constancy),
                "recent": _packed(norms.recent),
                "moves": _packed(norms.moves),
                "meters": _packed(norms.meters),
                **{name: _packed(getattr(self.everybody, name)) for name in _TABLES},
                **{one.name: _packed(getattr(places, one.name)) for one in fields(places)},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Company":
        """Read what :meth:`to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        payers = content["payers"]
        norms = Norms(
            constancy=_unpacked(content["constancy"]),
            line_shares=content["line_shares"],
            repeat_share=content["repeat_share"],
            recent=_unpacked(content["recent"]),
            moves=_unpacked(content["moves"]),
            meters=_unpacked(content["meters"]),
            tails=Yardstick.from_npz(base64.b64decode(content["tails"])),
            judges=tuple(content["judges"]),
            payers=None if payers is None else Everyone.from_lists(payers),
        )
        names = [one.name for one in fields(treatment.Everybody)]
        places = treatment.Everybody(**{name: _unpacked(content[name]) for name in names})
        tables = {name: _unpacked(content[name]) for name in _TABLES}
        return cls(norms, Everybody(**tables, places=places))


_TABLES = ("sizes", "rates", "seen")


def company_of(inputs: ScoringInputs, forest: Forest | None) -> Company:
    """Learn from the history of ``inputs``; see :func:`prebill.core.scoring.scorer.learn`."""
    past = replace(inputs, drafts=Books(), agreements=None)
    books = visible(settle(past))
    everybody = everybody_of(books, invariants.line_facts(books), past.customers)
    chosen = reference_customers(books.invoices)
    own = books.invoices.join(chosen, on="customer_id", how="semi")
    lines = books.lines.join(own.select("invoice_id"), on="invoice_id", how="semi")
    return Company(learn(replace(past, history=Books(own, lines)), forest), everybody.latest())


def _packed(frame: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> pl.DataFrame:
    return pl.read_ipc(io.BytesIO(base64.b64decode(text)))

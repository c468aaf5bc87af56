"""Tables of what helps a reviewer: resolved cases by reason, what was recommended, what was learnt.

All of it follows from verdicts and decisions; nothing of the books rests on it.
"""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.core.triage.resolutions import RESOLUTIONS
from prebill.store.columns import boolean, from_frame, instant, integer, key, one_of, optional, text


def define_assistance(metadata: sa.MetaData) -> None:
    """Define ``resolutions``, ``recommendations`` and ``recommenders``.

    A recommendation is kept with the verdict, whether it was shown or withheld.
    """
    sa.Table(
        "resolutions",
        metadata,
        *from_frame(RESOLUTIONS, keys=RESOLUTIONS.key),
        sa.Index(None, "code", "resolved_at"),
        sa.Index(None, "customer_id", "resolved_at"),
        sa.Index(None, "resolved_at"),
    )
    sa.Table(
        "recommendations",
        metadata,
        key("case_id"),
        text("action"),
        optional("confidence", Kind.FLOAT),
        text("basis"),
        optional("recommender"),
        boolean("was_shown"),
        text("verdict"),
        instant("entered_at"),
        one_of("action", "release", "correct", "reject", "look"),
        one_of("basis", "rules", "verdicts"),
        sa.Index(None, "entered_at"),
    )
    sa.Table(
        "recommenders",
        metadata,
        key("digest"),
        integer("verdicts"),
        text("model_json"),
        instant("fitted_at"),
    )

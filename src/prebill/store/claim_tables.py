"""Tables of who works on a case and who has it open; rows come and go, nothing rests on them."""

import sqlalchemy as sa

from prebill.store.columns import instant, key, text


def define_claims(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Define ``claims``, one lease a case, and ``viewers``."""
    claims = sa.Table(
        "claims",
        metadata,
        key("case_id"),
        text("user_id"),
        instant("claimed_at"),
        instant("expires_at"),
        sa.Index(None, "user_id"),
    )
    viewers = sa.Table("viewers", metadata, key("case_id"), key("user_id"), instant("seen_at"))
    return claims, viewers

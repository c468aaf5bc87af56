"""Reference tables: one per inbound frame that is state, built from its declaration.

Facts (usage events, invoices of another engine, payments …) live in the lake instead.
"""

from typing import Final

import sqlalchemy as sa

from prebill.core.schemas import INBOUND
from prebill.core.schemas.frame import Frame
from prebill.store.columns import from_frame, optional

#: Inbound frames that are facts: they are appended to the lake and never to a table.
LAKE_FRAMES: Final = frozenset(
    ("usage_events", "invoices", "invoice_lines", "payments", "credit_notes", "disputes")
)

#: Inbound frames that are state, in load order.
REFERENCE: Final[tuple[Frame, ...]] = tuple(f for f in INBOUND if f.name not in LAKE_FRAMES)


#: A run reads the rows of some customers: what isn't found by its key has an index.
INDEXED: Final[dict[str, tuple[str, ...]]] = {
    "customer_links": ("customer_id",),
    "contracts": ("customer_id",),
    "subscriptions": ("customer_id", "contract_id"),
    "entitlements": ("contract_id",),
}


def define_reference_tables(metadata: sa.MetaData) -> dict[str, sa.Table]:
    """Define one table per reference frame: its columns, its key, and the import it came from."""
    return {
        frame.name: sa.Table(
            frame.name,
            metadata,
            *from_frame(frame, keys=frame.key),
            optional("import_id"),
            *(sa.Index(None, column) for column in INDEXED.get(frame.name, ())),
        )
        for frame in REFERENCE
    }

"""Facts that never change, as Delta tables. Nothing else imports deltalake."""

from prebill.lake.lake import Lake, LakeBatch
from prebill.lake.tables import COMPLETES, TABLES

__all__ = ["COMPLETES", "TABLES", "Lake", "LakeBatch"]

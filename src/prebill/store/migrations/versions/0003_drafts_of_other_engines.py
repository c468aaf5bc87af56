"""Drafts of other engines: their table, cases of kind gate, deliveries without a document.

SQLite can't change a constraint: there the tables are copied aside and made again, verdicts first
and last, because they refer to cases.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0003_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").removesuffix("\n").split("\n--\n"):
        connection.exec_driver_sql(statement)

"""Resolved cases as help for open ones, what was recommended, and what was learnt."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0014_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").removesuffix("\n").split("\n--\n"):
        connection.exec_driver_sql(statement)

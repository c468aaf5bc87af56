"""The first tables: SQL frozen for each engine as ``schema.ddl_of`` wrote it."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0001_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").split("\n--\n"):
        connection.exec_driver_sql(statement)

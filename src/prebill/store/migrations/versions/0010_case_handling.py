"""Notes, files, pauses and escalations of cases."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0010_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").removesuffix("\n").split("\n--\n"):
        connection.exec_driver_sql(statement)

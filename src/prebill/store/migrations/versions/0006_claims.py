"""Who works on a case, until when, and who has it open."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0006_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").removesuffix("\n").split("\n--\n"):
        connection.exec_driver_sql(statement)

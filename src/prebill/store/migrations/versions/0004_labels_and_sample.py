"""Labels of several sources, and a sample of what was released: cases of kind sample.

Labels of before are verdicts, given with the recommendation in view. SQLite can't change a
constraint: there the tables are copied aside and made again, verdicts before cases and after.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    script = Path(__file__).with_name(f"0004_{connection.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").removesuffix("\n").split("\n--\n"):
        connection.exec_driver_sql(statement)

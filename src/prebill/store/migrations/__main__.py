"""``python -m prebill.store.migrations`` writes the SQL of revision 0001 again.

Only until the first release: afterwards a change of the tables is a revision of its own.
"""

from pathlib import Path

from prebill.store.schema import ddl_of

VERSIONS = Path(__file__).parent / "versions"


def main() -> None:
    """Freeze the tables for both engines."""
    for dialect in ("sqlite", "postgresql"):
        (VERSIONS / f"0001_{dialect}.sql").write_text(ddl_of(dialect), encoding="utf-8")


if __name__ == "__main__":
    main()

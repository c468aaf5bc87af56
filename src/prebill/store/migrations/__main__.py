"""``python -m prebill.store.migrations`` prints the SQL of all tables as they are declared now.

A new revision's SQL is copied from it: a test compares the two letter by letter.
"""

import sys

from prebill.store.schema import ddl_of


def main() -> None:
    """Print the tables for both engines."""
    for dialect in ("sqlite", "postgresql"):
        sys.stdout.write(f"-- {dialect}\n{ddl_of(dialect)}")


if __name__ == "__main__":
    main()

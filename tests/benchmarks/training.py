"""`prebill train --all` on demo companies of growing size: seconds, peak memory, scaling.

``python -m tests.benchmarks.training 1500 3000 6000`` prints a Markdown table.
"""

import os
import sys
import tempfile
from pathlib import Path

from prebill.demo.generator import generate
from prebill.demo.runner import AS_OF
from tests.benchmarks.billing_run import command
from training.dataset import from_home

SIZES = (1_500, 3_000, 6_000)
SEED = 1


def measure(customers: int) -> str:
    """Train once on a fresh company, before its first run; one row of the table."""
    with tempfile.TemporaryDirectory(prefix="prebill-bench-") as folder:
        home, data = Path(folder) / "home", Path(folder) / "data"
        generate(data, SEED, customers)
        environment = {**os.environ, "PREBILL_HOME": str(home)}
        command("init", environment=environment)
        command("import", str(data), "--as-of", AS_OF, environment=environment)
        trained = command("train", "--all", environment=environment)
        invoices = from_home(home).invoices.height
    cells = [
        f"{customers:,}",
        f"{invoices:,}",
        f"{trained['seconds']:.1f} s",
        f"{trained['cpu_seconds']:.1f} s",
        f"{trained['cpu_seconds'] / invoices * 10_000:.2f} s",
        f"{trained['peak_mb'] / 1024:.2f} GiB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure each size."""
    titles = ["customers", "invoices", "`prebill train --all`", "of the processors"]
    print(f"| {' | '.join([*titles, 'per 10,000 invoices', 'peak memory'])} |")
    print("|---:" * 6 + "|")
    for customers in [int(word) for word in sys.argv[1:]] or SIZES:
        print(measure(customers), flush=True)


if __name__ == "__main__":
    main()

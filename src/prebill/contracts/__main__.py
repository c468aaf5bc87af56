"""Compare the contracts with their baseline, then renew it: ``python -m prebill.contracts``.

To be run after a contract was changed on purpose and its version raised. ``--features`` first
rewrites the contract of the feature row from the features that scoring declares.
"""

import sys
from pathlib import Path

from prebill.contracts.catalog import load_catalog
from prebill.contracts.compatibility import baseline_text, parse_baseline, require_compatible
from prebill.contracts.features import write_features
from prebill.core.errors import ContractError

BASELINE = "baseline.json"


def main(folder: Path, *, features: bool = False) -> int:
    """Compare and rewrite the baseline; 1 and a text on standard error when it must not be."""
    if features:
        from prebill.core.scoring.scene import FEATURE_ROW

        write_features(folder, {name: one.meaning for name, one in FEATURE_ROW.items()})
    path = folder / BASELINE
    try:
        catalog = load_catalog(folder)
        if path.exists():
            for change in require_compatible(parse_baseline(path.read_text("utf-8")), catalog):
                sys.stdout.write(f"{change.where}: {change.text}\n")
    except ContractError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    path.write_text(baseline_text(catalog), encoding="utf-8")
    return 0


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--features"]
    chosen = Path(given[0] if given else "data_contracts")
    sys.exit(main(chosen, features="--features" in sys.argv))

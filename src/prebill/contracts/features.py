"""Keep the contract of the feature row in step with the features that scoring declares.

Features come and go with the models; writing sixty of them by hand invites a slip. The version
stays a person's business: ``python -m prebill.contracts`` says which one a change needs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from prebill.core.errors import ContractError

PLACE: Final = Path("internal") / "feature_row.yaml"
_FIRST: Final = "      - name: "


def write_features(folder: Path, features: Mapping[str, str]) -> None:
    """Rewrite the properties after the key: one optional DOUBLE a feature, in their order."""
    path = folder / PLACE
    text = path.read_text(encoding="utf-8")
    head, mark, rest = text.partition(_FIRST)
    if not mark or not rest.startswith("invoice_id\n"):
        message = f"{PLACE} must begin its properties with invoice_id"
        raise ContractError(message, file=str(PLACE))
    key = rest.split(_FIRST, maxsplit=1)[0].rstrip("\n") + "\n"
    blocks = [_property(name, meaning) for name, meaning in features.items()]
    path.write_text(head + mark + key + "".join(blocks), encoding="utf-8")


def _property(name: str, meaning: str) -> str:
    fields = {
        "name": name,
        "logicalType": "number",
        "physicalType": "DOUBLE",
        "required": False,
        "description": meaning,
    }
    dumped = yaml.safe_dump([fields], sort_keys=False, allow_unicode=True, width=92)
    return "".join(f"      {line}\n" for line in dumped.splitlines())

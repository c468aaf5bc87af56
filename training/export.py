"""``prebill dataset export``: the exact rows that a model learns from, with a manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

import polars as pl

from prebill.core.errors import StorageError
from prebill.core.scoring.features.declaration import Feature
from training.dataset import Dataset
from training.fit import RECIPES
from training.report import code_version
from training.specification import Specification


def export(
    dataset: Dataset, spec: Specification, as_of_on: date, out: Path
) -> Mapping[str, object]:
    """Write the training rows as of a day as Parquet, and ``<out>.manifest.json``.

    Parameters
    ----------
    dataset : Dataset
        Everything known; nothing dated ``as_of_on`` or later is read.
    spec : Specification
        Of the model.
    as_of_on : date
        The cut-off.
    out : Path
        The Parquet file.

    Returns
    -------
    Mapping
        The manifest: data, cut-off, rows, columns with type and meaning, digest of the file.

    Raises
    ------
    InputError
        There is nothing to learn from.
    StorageError
        The file can't be written.
    """
    recipe = RECIPES[spec.name]
    rows = recipe.rows(dataset.before(as_of_on), as_of_on)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(out)
        content = out.read_bytes()
        manifest: dict[str, object] = {
            "model": spec.name,
            "as_of_on": as_of_on.isoformat(),
            "rule": "nothing dated as_of_on or later was read",
            "rows": rows.height,
            "file": out.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "data": {
                "source": dataset.source,
                "fingerprint": dataset.before(as_of_on).fingerprint,
                "versions": dict(dataset.versions),
            },
            "seed": spec.seed,
            "code": code_version(),
            "columns": _columns(rows, recipe.columns),
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        out.with_name(f"{out.name}.manifest.json").write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{out} can't be written: {error.strerror}"
        raise StorageError(message, path=str(out)) from error
    return manifest


def _columns(rows: pl.DataFrame, learnt: Mapping[str, Feature]) -> list[dict[str, object]]:
    """Every column: its type, and what it declares if the model learns from it."""
    return [
        {"name": name, "type": str(dtype), "is_feature": name in learnt, **_said(learnt.get(name))}
        for name, dtype in rows.schema.items()
    ]


def _said(feature: Feature | None) -> dict[str, object]:
    if feature is None:
        return {"meaning": "key or outcome, no feature"}
    return {name: value for name, value in asdict(feature).items() if name != "name"}

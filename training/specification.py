"""``models/<name>/model.toml``: everything that a run may choose; ``--set`` overrides values."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from prebill.core.errors import InputError
from prebill.core.scoring.models.payment_spec import PaymentSpec


@dataclass(frozen=True, slots=True)
class Specification:
    """A model's choices: seed, days tested, parameters of the fit, and what promotion asks."""

    name: str
    seed: int
    test_days: int
    fit: Mapping[str, Any]
    promote: Mapping[str, float]

    def payment(self) -> PaymentSpec:
        """The parameters of a payment risk fit."""
        return PaymentSpec(**self.fit)


def read(folder: Path, name: str, overrides: Sequence[str] = ()) -> Specification:
    """Read a model's specification and apply ``key=value`` overrides (``fit.hazard_rounds=50``).

    Raises
    ------
    InputError
        The file is absent or wrong, or an override names an unknown key.
    """
    path = folder / name / "model.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        message = f"{path} can't be read: {error}"
        raise InputError(message, file=str(path)) from error
    for override in overrides:
        _apply(content, override, path)
    try:
        found = Specification(
            name=name,
            seed=content["seed"],
            test_days=content["split"]["test_days"],
            fit=content["fit"],
            promote=content["promote"],
        )
    except KeyError as error:
        message = f"{path} lacks {error}"
        raise InputError(message, file=str(path)) from None
    unknown = set(found.fit) - {field.name for field in fields(PaymentSpec)}
    if name == "payment_risk" and unknown:
        message = f"{path} has unknown keys in [fit]: {', '.join(sorted(unknown))}"
        raise InputError(message, file=str(path))
    return found


def _apply(content: dict[str, Any], override: str, path: Path) -> None:
    """Replace one value by another of its type; a key that the file lacks is a mistake."""
    key, mark, text = override.partition("=")
    *outer, last = key.strip().split(".")
    table: Any = content
    for name in outer:
        table = table.get(name) if isinstance(table, dict) else None
    if not mark or not isinstance(table, dict) or last not in table:
        message = f"--set {override!r}: {path} has no {key!r}; write key=value with a key of it"
        raise InputError(message, override=override)
    try:
        table[last] = type(table[last])(text)
    except ValueError:
        message = f"--set {override!r}: {text!r} is no {type(table[last]).__name__}"
        raise InputError(message, override=override) from None

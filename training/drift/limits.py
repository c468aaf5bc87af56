"""``models/drift.toml``: how windows are cut, and each check's limit and action."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from prebill.core.errors import InputError

_TOP = {
    *("seed", "window_days", "min_rows", "windows_in_a_row", "reference_windows"),
    *("null_by_nature", "checks", "top"),
}


class Check(StrEnum):
    """What may be beyond its limit."""

    FEATURE = "feature"
    SCORE = "score"
    LABEL = "label"
    MISSING = "missing"
    CALIBRATION = "calibration"
    SHARE = "share"


class Action(StrEnum):
    """What an alarm asks for."""

    WARN = "warn"
    REVIEW_ALL = "review all"
    RETRAIN = "propose retraining"


@dataclass(frozen=True, slots=True)
class Limit:
    """Beyond ``value`` a window counts against a check; its alarm asks for ``action``."""

    value: float
    action: Action


@dataclass(frozen=True, slots=True)
class Limits:
    """The whole file."""

    seed: int
    window_days: int
    min_rows: int
    windows_in_a_row: int
    reference_windows: int
    null_by_nature: tuple[str, ...]
    checks: Mapping[Check, Limit]
    top: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        sizes = (self.window_days, self.min_rows, self.windows_in_a_row, self.reference_windows)
        if min(sizes) < 1 or {*self.checks} != {*Check}:
            message = "window sizes must be at least 1, and every check needs a limit"
            raise ValueError(message)


def read(folder: Path) -> Limits:
    """Read ``drift.toml`` from the folder of the model specifications.

    Raises
    ------
    InputError
        The file is absent or wrong; unknown keys are refused.
    """
    path = folder / "drift.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = {*content} - _TOP
        if unknown:
            message = f"unknown keys {', '.join(sorted(unknown))}"
            raise ValueError(message)
        return _parsed(content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{path} can't be used: {error}"
        raise InputError(message, file=str(path)) from error


def _parsed(content: dict[str, Any]) -> Limits:
    return Limits(
        seed=int(content["seed"]),
        window_days=int(content["window_days"]),
        min_rows=int(content["min_rows"]),
        windows_in_a_row=int(content["windows_in_a_row"]),
        reference_windows=int(content["reference_windows"]),
        null_by_nature=tuple(content["null_by_nature"]),
        checks={
            Check(name): Limit(float(check["limit"]), Action(check["action"]))
            for name, check in content["checks"].items()
        },
        top={name: tuple(features) for name, features in content["top"].items()},
    )

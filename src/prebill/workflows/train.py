"""Train: start the offline `training` package as a process of its own, so that a service has none.

What it decides (registered, promoted or not, and why) it prints; the exit code says whether any
model was trained.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from prebill.core.errors import InputError
from prebill.settings import Settings


def train(
    settings: Settings,
    models: Sequence[str] = (),
    *,
    data: Path | None = None,
    overrides: Sequence[str] = (),
) -> int:
    """Fit, evaluate, register and promote if better; returns the process's exit code.

    Raises
    ------
    InputError
        The `training` package is not here: it comes with the repository, not with the wheel.
    """
    if importlib.util.find_spec("training") is None:
        message = "the training package is absent: run `prebill train` from the repository"
        raise InputError(message)
    command = [sys.executable, "-m", "training", "fit", *models, "--home", str(settings.home)]
    if data is not None:
        command += ["--data", str(data)]
    command += [f"--set={override}" for override in overrides]
    return subprocess.run(command, check=False).returncode

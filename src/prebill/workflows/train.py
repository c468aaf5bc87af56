"""Start the offline `training` package as a process of its own, so that a service has none of it.

What it decides (registered, champion, challenger or neither, and why) it prints; the exit code
says whether it could do what it was asked.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from prebill.core.errors import InputError
from prebill.settings import Settings


def run(settings: Settings, arguments: Sequence[str], *, data: Path | None = None) -> int:
    """Run ``python -m training …`` on an installation; returns the process's exit code.

    Raises
    ------
    InputError
        The `training` package is not here: it comes with the repository, not with the wheel.
    """
    if importlib.util.find_spec("training") is None:
        message = "the training package is absent: run this from the repository"
        raise InputError(message)
    command = [sys.executable, "-m", "training", *arguments, "--home", str(settings.home)]
    if data is not None:
        command += ["--data", str(data)]
    return subprocess.run(command, check=False).returncode

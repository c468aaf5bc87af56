"""Run Prebill's own commands for the demo, each as a process of its own, as a user would."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prebill.core.errors import PrebillError

Say = Callable[[str], None]

_START: Final = "from prebill.cli import main; main()"
#: Starts the command after the first argument, in a session of its own, and names its process.
_DETACH: Final = (
    "import subprocess, sys; log = open(sys.argv[1], 'wb'); "
    "print(subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, "
    "stderr=subprocess.STDOUT, start_new_session=True).pid)"
)
_TAIL_LINES: Final = 15
#: Exit code of a command that did its work and found something.
EXIT_FINDINGS: Final = 1


class DemoError(PrebillError):
    """A command of the demo failed."""

    code = "demo"


@dataclass
class Commands:
    """Prebill's commands on one home; ``seconds`` keeps how long each took."""

    home: Path
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment without its own Prebill settings: the demo has its own home."""
        own = {n: v for n, v in os.environ.items() if not n.startswith("PREBILL_")}
        return {**own, "PREBILL_HOME": str(self.home)}

    def run(self, *words: str, may_find: bool = False) -> str:
        """Run ``prebill words…`` and return what it printed; ``may_find``: findings are no failure.

        Raises
        ------
        DemoError
            It ended with an error; the message holds the end of its output.
        """
        shown = " ".join(("prebill", *words))
        self.say(f"$ {shown}")
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _START, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.seconds[words[0]] = self.seconds.get(words[0], 0.0) + time.monotonic() - started
        found = may_find and done.returncode == EXIT_FINDINGS and "Traceback" not in done.stderr
        if done.returncode != 0 and not found:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL_LINES:])
            message = f"`{shown}` ended with exit code {done.returncode}:\n{tail}"
            raise DemoError(message, command=shown, exit_code=done.returncode)
        return done.stdout

    def start(self, *words: str, log: Path) -> int:
        """Start ``prebill words…`` in the background and return the number of its process.

        It is nobody's child, so that it outlives the demo; what it says goes to ``log``.
        """
        started = subprocess.run(
            [sys.executable, "-c", _DETACH, str(log), sys.executable, "-c", _START, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(started.stdout)


def told(printed: str, name: str) -> str:
    """Find a value, such as the one-time password, in what a command printed.

    Raises
    ------
    DemoError
        The command printed no such value.
    """
    found = re.search(rf"^{re.escape(name)}\s{{2,}}(\S+)", printed, flags=re.MULTILINE)
    if found is None:
        message = f"no {name} was printed: is the demo's home really new?"
        raise DemoError(message, name=name)
    return found.group(1)


def program() -> str:
    """How the user called Prebill, for commands that the report prints."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "prebill" else "prebill"

"""``prebill demo`` from end to end: make a company, run Prebill's own commands, tell the result.

Nothing here judges or knows results: the commands are those a user types, on a home of the demo's
own, and what they did is compared with the truth that the generator kept apart.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from prebill.core.errors import InputError
from prebill.demo import collect
from prebill.demo.assessment import Assessment, assess
from prebill.demo.catalogue import GRACE_DAYS, PERIOD
from prebill.demo.commands import Commands, Say, program, told
from prebill.demo.generator import generate
from prebill.demo.held_invoice import held_invoice
from prebill.demo.report import Console, Control, HeldInvoice, render
from prebill.demo.truth import Truth
from prebill.settings import Settings
from prebill.store.engine import Store

DEFAULT_CUSTOMERS: Final = 3_000
#: The day on which every entity's grace has passed: the demo has the same clock each time.
AS_OF: Final = f"{PERIOD.end_on + timedelta(days=GRACE_DAYS)}T18:00Z"
ADMINISTRATOR: Final = "admin@localhost"
_MARKER: Final = ".prebill-demo"
_PORT: Final = 8400


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps what: files to import, Prebill's home, and the truth apart from both."""

    directory: Path

    @property
    def data(self) -> Path:
        """The canonical files."""
        return self.directory / "data"

    @property
    def home(self) -> Path:
        """Database, lake and models."""
        return self.directory / "home"

    @property
    def truth(self) -> Path:
        """What is wrong; no command of Prebill reads it."""
        return self.directory / "truth.json"

    @property
    def result(self) -> Path:
        """The report as JSON."""
        return self.directory / "result.json"

    @property
    def token(self) -> Path:
        """Token of the administrator, with which the printed command acts."""
        return self.directory / "token"

    @property
    def console_log(self) -> Path:
        """What the console says."""
        return self.directory / "console.log"

    @property
    def console_process(self) -> Path:
        """Number of the console's process."""
        return self.directory / "console.pid"


def run_demo(
    directory: Path,
    *,
    seed: int,
    customers: int,
    is_serving: bool,
    say: Say,
    with_unseen: bool = False,
) -> list[str]:
    """Build, import, train, bill, judge; return the report's lines.

    Raises
    ------
    InputError
        The folder holds something else, or there are too few customers.
    DemoError
        A command failed.
    """
    places = Places(directory.expanduser().resolve())
    prepare(places)
    commands = Commands(places.home, say)
    say(f"making a company of {customers:,} customers, seed {seed}")
    started = time.monotonic()
    truth = generate(places.data, seed, customers, with_unseen=with_unseen)
    truth.write(places.truth)
    commands.seconds["generate"] = time.monotonic() - started
    password = told(commands.run("init", "--admin", ADMINISTRATOR), "password")
    commands.run("import", str(places.data), "--as-of", AS_OF)
    commands.run("train")
    commands.run("run", "--period", PERIOD.name, "--as-of", AS_OF)
    commands.run("audit", "seal")
    signed_in = _with_token(commands, places)
    reconciled = commands.run("reconcile", "--period", PERIOD.name, may_find=True)
    started = time.monotonic()
    settings = Settings.load(places.home)
    store = Store.open(settings.database_url)
    with store.read() as tx:
        assessment = assess(truth, collect.outcome(tx, PERIOD), collect.customer_names(tx))
        held = held_invoice(tx, signed_in)
    control = collect.control(store, settings, PERIOD, differences=_differences(reconciled))
    store.close()
    commands.seconds["report"] = time.monotonic() - started
    console = _console(commands, places, password, is_serving=is_serving)
    lines = render(
        assessment, held=held, control=control, console=console, seconds=commands.seconds
    )
    result = result_of(truth, assessment, held=held, control=control)
    result["seconds"] = commands.seconds
    places.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return lines


def _with_token(commands: Commands, places: Places) -> str:
    """Make a token for the administrator, kept in a file; return how to call Prebill with it."""
    printed = commands.run("token", "create", ADMINISTRATOR, "--name", "demo", "--days", "7")
    places.token.touch(mode=0o600)
    places.token.write_text(told(printed, "token") + "\n", encoding="ascii")
    home, token = shlex.quote(str(places.home)), shlex.quote(str(places.token))
    return f"PREBILL_HOME={home} PREBILL_TOKEN=$(cat {token}) {program()}"


def prepare(places: Places) -> None:
    """Make an empty folder; one that an earlier demo made is emptied, any other is left alone.

    Raises
    ------
    InputError
        The folder holds files that no demo made.
    """
    directory = places.directory
    if directory.exists() and not directory.is_dir():
        message = f"{directory} is a file: give another folder with --dir"
        raise InputError(message, directory=str(directory))
    if directory.is_dir() and any(directory.iterdir()):
        if not (directory / _MARKER).is_file():
            message = (
                f"{directory} holds files that no demo made: they are left alone; "
                "give another folder with --dir"
            )
            raise InputError(message, directory=str(directory))
        _stop_console(places)
        for old in (places.data, places.home):
            shutil.rmtree(old, ignore_errors=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _MARKER).touch()
    except OSError as error:
        message = f"{directory} can't be made: {error.strerror}"
        raise InputError(message, directory=str(directory)) from error


def _differences(printed: str) -> list[str]:
    """What the reconciliation found to differ."""
    return [line for line in printed.splitlines() if line.startswith("DIFFERS")]


def result_of(
    truth: Truth, assessment: Assessment, *, held: HeldInvoice | None, control: Control
) -> dict[str, Any]:
    """Return the report as JSON holds it."""
    return {
        "seed": truth.seed,
        "customers": truth.customers,
        "money": collect.rows_of(assessment.money),
        "families": collect.rows_of(assessment.families),
        "missed": collect.rows_of(assessment.missed),
        "wrongly_stopped": collect.rows_of(assessment.wrongly_stopped),
        "hard_negatives": collect.rows_of(assessment.hard_negatives),
        "unseen": collect.rows_of(assessment.unseen),
        "held_invoice": None if held is None else asdict(held),
        "control": {**asdict(control), "holds": control.holds},
    }


# ── The console ──────────────────────────────────────────────────────────────────────────────


def _console(commands: Commands, places: Places, password: str, *, is_serving: bool) -> Console:
    """Start the console in the background, or say how to."""
    port = _free_port()
    home = shlex.quote(str(commands.home))
    command = f"PREBILL_HOME={home} {program()} serve --port {port}"
    process_id = None
    if is_serving:
        started = commands.start("serve", "--port", str(port), log=places.console_log)
        places.console_process.write_text(str(started), encoding="ascii")
        process_id = started if _answers(started, port) else None
    return Console(f"http://127.0.0.1:{port}/", ADMINISTRATOR, password, command, process_id)


def _free_port() -> int:
    """The usual port, or any other where that one is taken."""
    for port in (_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return _PORT


def _answers(process_id: int, port: int) -> bool:
    """Wait until the console listens, at most 15 seconds."""
    for _ in range(150):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return False
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def _stop_console(places: Places) -> None:
    """Stop the console of an earlier demo in this folder, if its process is still that one."""
    if not places.console_process.is_file():
        return
    process_id = places.console_process.read_text(encoding="ascii").strip()
    places.console_process.unlink()
    try:
        shown = subprocess.run(
            ["ps", "-p", process_id, "-o", "command="], capture_output=True, text=True, check=False
        ).stdout
    except OSError:  # no `ps` on this machine: rather leave a process running than stop a wrong one
        return
    if "prebill" in shown and " serve" in shown and process_id.isdigit():
        os.kill(int(process_id), signal.SIGTERM)

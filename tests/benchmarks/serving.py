"""Latency over HTTP: the hook, the queue page, a decision. ``python -m tests.benchmarks.serving``.

The server is a process of its own, SQLite with every commit on disk; clients are threads here.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store, Tx
from prebill.store.users import Role
from prebill.workflows.profiles import prepare_profiles
from tests.api.builders import PASSWORD, Person, add_person, add_waiting
from tests.api.history import add_history, invoice, line_of

_SERVE = """
import os, socket, sys, threading, uvicorn
from prebill.api.app import create_app
from prebill.bootstrap import Installation
from prebill.settings import Settings
# It ends with the process that started it: that one holds the other end of its input.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = create_app(Installation.open(Settings.load(sys.argv[1])))
uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none")).run(sockets=[listener])
"""


@dataclass(frozen=True)
class Server:
    """Address and process id."""

    url: str
    pid: int


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """Serve a home in another process."""
    environment = {**os.environ, "PREBILL_HOME": str(home), "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-c", _SERVE, str(home)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    try:
        _wait_until_ready(url)
        yield Server(url, process.pid)
    finally:
        process.kill()
        process.wait(20)


def _wait_until_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    message = "the server did not start"
    raise RuntimeError(message)


def timed(work: Callable[[int], httpx.Response], numbers: range, clients: int) -> pl.Series:
    """Milliseconds of each request; a failed one ends the measurement."""

    def one(number: int) -> float:
        started = time.perf_counter()
        answer = work(number)
        answer.raise_for_status()
        return (time.perf_counter() - started) * 1000

    with ThreadPoolExecutor(clients) as pool:
        return pl.Series(list(pool.map(one, numbers)))


def told(name: str, milliseconds: pl.Series) -> str:
    """One line of the table, shown at once."""
    p50, p99 = milliseconds.quantile(0.5), milliseconds.quantile(0.99)
    line = f"{name:<44} p50 {p50:8.1f} ms   p99 {p99:8.1f} ms   n {milliseconds.len()}"
    print(line, flush=True)
    return line


def add_cases(tx: Tx, cases: int) -> list[str]:
    """Two whole cases, then copies of them under other ids."""
    first = add_waiting(tx, 1, priority=9.3)
    drafts = tx.table_frame("drafts", "LIMIT 1")
    decisions = tx.table_frame("decisions", "LIMIT 1")
    rows = tx.table_frame("cases", "WHERE case_id = :id", {"id": first})
    numbers = pl.DataFrame({"n": range(2, cases + 1)})
    draft_id = pl.format("DE:2026-10:SUB-{}", pl.col("n").cast(pl.String).str.zfill(7))
    for table, frame in (("drafts", drafts), ("decisions", decisions), ("cases", rows)):
        many = numbers.join(frame, how="cross").with_columns(draft_id=draft_id)
        if table == "cases":
            many = many.with_columns(
                case_id=pl.format("case:{}:v1", "draft_id"),
                priority=(pl.col("n") * 7919 % 100_003).cast(pl.Float64) / 10,
            )
        tx.insert_frame(table, many.drop("n"))
    return [first, *numbers.select(pl.format("case:{}:v1", draft_id)).to_series().to_list()]


def main(cases: int = 100_000, customers: int = 2_000, requests: int = 300) -> list[str]:
    """Measure everything; returns the lines of the table."""
    home = Path(tempfile.mkdtemp())
    settings = Settings.load(home)
    store, lake = Store(settings.database_url), Lake(settings.lake_dir)
    store.create_all()
    person = add_person(store, Role.CONTROLLER)
    with store.transaction() as tx:
        case_ids = add_cases(tx, cases)
    add_history(store, lake, customers=customers)
    started = time.perf_counter()
    prepare_profiles(Installation(settings, store, lake))
    lines = [f"profiles of {customers} customers prepared in {time.perf_counter() - started:.1f} s"]
    with served(home) as server:
        lines += _hook(server.url, person, requests)
        lines += _queue(server.url, person, case_ids, requests)
    return lines


def _hook(url: str, person: Person, requests: int) -> list[str]:
    def post(number: int) -> httpx.Response:
        one = {**invoice(number % 1_900 + 1, 12), "invoice_id": f"NEW-{number}"}
        body = {"invoices": [one], "invoice_lines": [line_of(one)]}
        return client.post("/v1/invoices:score", json=body)

    with httpx.Client(base_url=url, headers=person.bearer, timeout=60) as client:
        timed(post, range(-20, 0), 1)
        alone = timed(post, range(requests), 1)
        eight = timed(post, range(requests, 2 * requests), 8)
    return [told("hook, 1 client", alone), told("hook, 8 clients", eight)]


def _queue(url: str, person: Person, case_ids: list[str], requests: int) -> list[str]:
    lines = []
    with httpx.Client(base_url=url, headers=person.bearer, timeout=60) as client:
        lines.append(told("GET /v1/cases", timed(lambda _: client.get("/v1/cases"), range(50), 1)))

        def release(number: int) -> httpx.Response:
            path = f"/v1/cases/{case_ids[number]}:release"
            reason = {"reason": "unusual_but_right"}
            return client.post(path, json=reason, headers={"If-Match": '"1"'})

        lines.append(told("a decision", timed(release, range(requests), 1)))
    with httpx.Client(base_url=url, timeout=60) as client:
        token = client.get("/sign-in").text.partition('form_token" value="')[2].partition('"')[0]
        fields = {"email": person.email, "password": PASSWORD, "form_token": token}
        client.post("/sign-in", data=fields)
        pages = {"queue page": "/queue", "queue page, one currency": "/queue?currency=EUR"}
        pages["case page"] = f"/cases/{case_ids[-1]}"
        for name, path in pages.items():
            lines.append(told(name, timed(lambda _, path=path: client.get(path), range(50), 1)))  # type: ignore[misc]
    return lines


if __name__ == "__main__":
    main()

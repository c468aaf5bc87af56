"""What a worker keeps in memory between the steps of a run. Losing it costs time, nothing else."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from prebill.bootstrap import Judges
from prebill.core.scoring.norms import Norms
from prebill.workflows.finalize import Issuing
from prebill.workflows.gather import Facts
from prebill.workflows.rows import ShardRows


@dataclass(frozen=True, slots=True)
class Common:
    """What all shards of a run share."""

    judges: Judges
    #: None: judging fails, or there is no history to learn from.
    norms: Norms | None
    #: The same with the challenger's forest; None: there is no challenger.
    challenger_norms: Norms | None
    members: list[list[str]]
    #: By shard; None: stored already, and let go of.
    facts: list[Facts | None]


@dataclass(frozen=True, slots=True)
class Held:
    """A shard between its steps."""

    rows: ShardRows
    chunks: list[ShardRows]
    skips: pl.DataFrame
    issuing: Issuing
    digest: str
    seconds: dict[str, float]
    counts: dict[str, int]


class Stopwatch:
    """Adds the time since the last lap to a named stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self._seconds[stage] = round(self._seconds.get(stage, 0.0) + now - self._last, 4)
        self._last = now


class Memory:
    """One run at a time: what belongs to an earlier one is dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run_id = ""
        self._common: Common | None = None
        self._held: dict[int, Held] = {}

    def common(self, run_id: str, read: Callable[[], Common]) -> Common:
        """What the shards share, read by the first of them."""
        with self._lock:
            self._turn_to(run_id)
            if self._common is None:
                self._common = read()
            return self._common

    def hold(self, run_id: str, shard: int, held: Held) -> None:
        """Keep a computed shard."""
        with self._lock:
            self._turn_to(run_id)
            self._held[shard] = held

    def held(self, run_id: str, shard: int) -> Held | None:
        """The computed shard, if this worker still has it."""
        with self._lock:
            return self._held.get(shard) if run_id == self._run_id else None

    def release(self, run_id: str, shard: int) -> None:
        """Let go of a shard that is stored."""
        with self._lock:
            if run_id == self._run_id:
                self._held.pop(shard, None)
                if self._common is not None:
                    self._common.facts[shard] = None

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._turn_to("")

    def _turn_to(self, run_id: str) -> None:
        if run_id != self._run_id:
            self._run_id, self._common, self._held = run_id, None, {}


memory = Memory()

"""Two small companies, made once for all tests of the generator."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from prebill.demo import generator
from prebill.demo.faults import Company, Frames
from prebill.demo.truth import Truth

CUSTOMERS = 400


@dataclass(frozen=True)
class Made:
    """A company as it truly is, the files with faults, and the truth."""

    company: Company
    faulty: Frames
    faults: pl.DataFrame
    truth: Truth
    directory: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Made]:
    @cache
    def make(seed: int) -> Made:
        directory = tmp_path_factory.mktemp(f"company{seed}")
        company, jumps = generator.make_company(seed, CUSTOMERS)
        faulty, faults = generator.make_faulty(seed, company, jumps)
        truth = generator.generate(directory, seed, CUSTOMERS)
        return Made(company, faulty, faults, truth, directory)

    return make

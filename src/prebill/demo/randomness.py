"""Seeded random streams, one a stage, so that a change in one stage leaves the others alone."""

import zlib

import numpy as np


def stream(seed: int, stage: str) -> np.random.Generator:
    """Return the generator of a stage: the same seed and name give the same numbers."""
    return np.random.default_rng([seed, zlib.crc32(stage.encode())])

"""The check that every billing stage runs on what it gives out: no column is a float."""

import polars as pl

from prebill.core.errors import MoneyError


def without_floats(frame: pl.DataFrame, stage: str) -> pl.DataFrame:
    """Return the frame, or say which of its columns polars silently turned into a float.

    Raises
    ------
    MoneyError
        A column is a float: somewhere a decimal met a float literal or a mean.
    """
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    if floats:
        message = f"billing stage {stage!r} made floats of {', '.join(floats)}: keep to decimals"
        raise MoneyError(message, stage=stage, columns=floats)
    return frame

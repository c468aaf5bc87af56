"""The families of faults, planted in the input files where they arise in life."""

from typing import Final

import polars as pl

from prebill.demo.faults.agreement_faults import AGREEMENT_FAULTS
from prebill.demo.faults.family import UNSEEN, Company, Family, Fault, Frames, Victims
from prebill.demo.faults.unseen_faults import UNSEEN_FAULTS
from prebill.demo.faults.usage_faults import USAGE_FAULTS
from prebill.demo.randomness import stream

__all__ = [
    "FAULTS",
    "UNSEEN",
    "UNSEEN_FAULTS",
    "Company",
    "Family",
    "Fault",
    "Frames",
    "plant",
    "trial",
]

#: Random numbers a victim and fault.
_DRAWS: Final = 4

#: Scarce families first: they choose their customers before the others do.
FAULTS: Final[tuple[Fault, ...]] = tuple(
    sorted(
        (*USAGE_FAULTS, *AGREEMENT_FAULTS),
        key=lambda fault: (
            fault.family
            not in {Family.DISCOUNT_PAST_END, Family.AMENDMENT_NOT_CAPTURED, Family.STALE_PRICE}
        ),
    )
)


def trial(
    seed: int, company: Company, spared: pl.Series, per_family: int, faults: tuple[Fault, ...]
) -> pl.DataFrame:
    """Choose customers, at most one fault each, in a random order that favours nobody.

    ``spared`` are numbers of customers that stay without a fault, such as planted hard negatives;
    ``per_family`` is how many each family asks for; a small company may have fewer. Returns
    ``number`` and ``family``, in the order in which they were drawn.
    """
    taken = spared
    parts = []
    for fault in faults:
        free = fault.eligible(company)
        free = free.filter(~free.is_in(taken.implode())).sort()
        order = stream(seed, f"choose {fault.family}").permutation(len(free))[:per_family]
        chosen = free.gather(order.tolist())
        taken = pl.concat([taken, chosen])
        parts.append(
            pl.DataFrame({"number": chosen}).with_columns(family=pl.lit(fault.family.value))
        )
    return pl.concat(parts)


def plant(seed: int, company: Company, chosen: pl.DataFrame) -> Frames:
    """Return the company's frames with the chosen faults (``number``, ``family``) in them."""
    frames = dict(company.frames)
    main = company.agreements.contracts.join(company.traits.select("number"), on="number")
    main = main.unique("number", keep="first", maintain_order=True)
    # What is copied from others is copied before anything of theirs is altered.
    for fault in (*UNSEEN_FAULTS, *FAULTS):
        numbers = chosen.filter(pl.col("family") == fault.family.value).select("number")
        if numbers.is_empty():
            continue
        rows = main.join(numbers, on="number", how="semi").sort("number")
        draws = stream(seed, f"plant {fault.family}").random((company.traits.height, _DRAWS))
        frames |= fault.plant(frames, Victims(rows, draws[rows["number"].to_numpy()]))
    return frames

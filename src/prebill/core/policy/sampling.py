"""Which released drafts are looked at all the same: a random sample that can be repeated. Pure.

What a policy holds, people judge; of what it releases nobody would learn anything. Who is drawn
follows from a hash of the draft, so that a repeated run draws the same ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.reading import number

#: Every released draft has at least this chance, whatever a policy says.
LEAST_SHARE: Final = 0.005
_KEYS: Final = {"share", "due_hours", "strata"}
_STRATUM: Final = {"from_score", "share"}
_HASH_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """Chance of a released draft to be drawn: ``share``, or that of the last stratum it reaches.

    ``strata``: anomaly score from which on, and the chance then, both growing. ``due_hours``: when
    somebody should have looked; nothing waits for it.
    """

    share: float = LEAST_SHARE
    due_hours: float = 336.0
    strata: dict[float, float] = field(default_factory=dict)

    def propensity(self, score: pl.Expr) -> pl.Expr:
        """The chance by anomaly score; an unknown score has the highest of all."""
        chance = pl.lit(self.share)
        for from_score, share in self.strata.items():
            chance = pl.when(score >= from_score).then(pl.lit(share)).otherwise(chance)
        highest = max([self.share, *self.strata.values()])
        return pl.when(score.is_null()).then(pl.lit(highest)).otherwise(chance)

    def drawn(self, drafts: pl.DataFrame, policy_hash: str) -> pl.DataFrame:
        """Return the drafts that are drawn.

        Parameters
        ----------
        drafts : pl.DataFrame
            ``draft_id, draft_version`` and ``sample_propensity``, null where it can't be drawn.
        policy_hash : str
            Of the policy: another policy draws others.
        """
        candidates = drafts.filter(pl.col("sample_propensity").is_not_null())
        rows = candidates.select("draft_id", "draft_version", "sample_propensity")
        # SHA-256 has no columnar form: 100,000 rows take a fifth of a second.
        drawn = [self.is_drawn(row, policy_hash) for row in rows.iter_rows(named=True)]
        return candidates.filter(pl.Series(drawn, dtype=pl.Boolean))

    def is_drawn(self, draft: Mapping[str, Any], policy_hash: str) -> bool:
        """Whether one such draft is drawn: its place in [0, 1) lies below its chance."""
        text = f"{draft['draft_id']}\n{draft['draft_version']}\n{policy_hash}"
        digest = hashlib.sha256(text.encode()).digest()
        place = int.from_bytes(digest[: _HASH_BITS // 8]) / 2**_HASH_BITS
        return bool(place < draft["sample_propensity"])


def parse_sampling(section: object) -> Sampling:
    """Read the section ``sample`` of a policy; None: the least share of everything.

    Raises
    ------
    PolicyError
        An unknown or absent key, a share below the least, or strata that don't grow.
    """
    if section is None:
        return Sampling()
    given = _mapping(section, _KEYS, "sample")
    share = _share(given, "sample")
    listed = given["strata"]
    if not isinstance(listed, list):
        message = "sample.strata must be a list, if only an empty one"
        raise PolicyError(message, where="sample")
    strata = [_mapping(one, _STRATUM, "sample.strata") for one in listed]
    limits = [number(one, "from_score", "sample.strata", high=1.0) for one in strata]
    shares = [_share(one, "sample.strata") for one in strata]
    if sorted(set(limits)) != limits or sorted(shares) != shares or min([*shares, 1.0]) < share:
        message = "sample.strata: from_score and share must grow, beginning above sample.share"
        raise PolicyError(message, where="sample")
    due_hours = number(given, "due_hours", "sample", low=1.0)
    return Sampling(share, due_hours, dict(zip(limits, shares, strict=True)))


def _share(given: Mapping[str, object], where: str) -> float:
    return number(given, "share", where, low=LEAST_SHARE, high=1.0)


def _mapping(section: object, keys: set[str], where: str) -> Mapping[str, object]:
    if not isinstance(section, dict) or set(section) != keys:
        message = f"{where} must have exactly {', '.join(sorted(keys))}"
        raise PolicyError(message, where=where)
    return section

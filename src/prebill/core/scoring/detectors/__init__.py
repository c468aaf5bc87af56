"""One file per detector, listed in ``DETECTORS``."""

from typing import Final

from prebill.core.scoring.detectors.base import Detector, Judged, Scene
from prebill.core.scoring.detectors.billed_usage import BILLED_USAGE
from prebill.core.scoring.detectors.conformance import CONFORMANCE
from prebill.core.scoring.detectors.duplicates import DUPLICATES
from prebill.core.scoring.detectors.entitlement import ENTITLEMENT
from prebill.core.scoring.detectors.invariants import INVARIANTS
from prebill.core.scoring.detectors.level import LEVEL
from prebill.core.scoring.detectors.missing_usage import MISSING_USAGE
from prebill.core.scoring.detectors.never_drafted import NEVER_DRAFTED
from prebill.core.scoring.detectors.repeated import REPEATED
from prebill.core.scoring.detectors.repeated_usage import REPEATED_USAGE
from prebill.core.scoring.detectors.stuck_meter import STUCK_METER
from prebill.core.scoring.detectors.tax_treatment import TAX_TREATMENT
from prebill.core.scoring.detectors.unit_error import UNIT_ERROR


def registered(*detectors: Detector) -> tuple[Detector, ...]:
    """Return the detectors, refusing one name twice."""
    names = [detector.name for detector in detectors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"detectors registered twice: {', '.join(twice)}"
        raise ValueError(message)
    return detectors


DETECTORS: Final = registered(
    LEVEL,
    INVARIANTS,
    TAX_TREATMENT,
    DUPLICATES,
    REPEATED,
    BILLED_USAGE,
    MISSING_USAGE,
    REPEATED_USAGE,
    STUCK_METER,
    UNIT_ERROR,
    CONFORMANCE,
    ENTITLEMENT,
    NEVER_DRAFTED,
)

#: Those that say something of a draft; the other one says what was not drafted.
DRAFT_DETECTORS: Final = tuple(one for one in DETECTORS if one is not NEVER_DRAFTED)

__all__ = ["DETECTORS", "DRAFT_DETECTORS", "Detector", "Judged", "Scene", "registered"]

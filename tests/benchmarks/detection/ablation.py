"""What each group of detectors adds, on the same invoices: one after the other, then all."""

from typing import Final

from prebill.core.scoring.detectors import DETECTORS, Detector

#: Steps in the order in which they are added; the last one is every registered detector.
STEPS: Final[dict[str, tuple[str, ...]]] = {
    "own ratios: level": ("level",),
    "+ exact invariants": ("invariants", "tax_treatment", "duplicates"),
    "+ shape": ("repeated", "missing_usage", "repeated_usage", "stuck_meter", "unit_error"),
}
ALL: Final = "all, combined"


def steps() -> dict[str, tuple[Detector, ...]]:
    """Detectors of each step.

    Raises
    ------
    LookupError
        A step names a detector that is not registered: the table would claim what isn't so.
    """
    known = {detector.name: detector for detector in DETECTORS}
    unknown = sorted({name for names in STEPS.values() for name in names} - set(known))
    if unknown:
        message = f"not registered as detectors: {', '.join(unknown)}; name the present ones"
        raise LookupError(message)
    taken: list[str] = []
    result = {}
    for step, names in STEPS.items():
        taken.extend(names)
        result[step] = tuple(known[name] for name in taken)
    return {**result, ALL: DETECTORS}

"""A made-up company with known faults: generator, truth and the report of ``prebill demo``.

It shares no code with detectors; it may use ``core.billing``, ``core.money`` and ``core.schemas``.
"""

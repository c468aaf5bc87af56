"""How well faults are found: three kinds of series, one fault injector, figures per kind of fault.

    python -m tests.benchmarks.detection --retail DIR --seeds 10 --first 11

Nothing in here is known to a detector, and no detector is known in here: invoices go through the
public scoring interface as the gate's do.
"""

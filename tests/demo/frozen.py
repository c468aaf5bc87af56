"""The generator's fingerprint: what it makes of fixed seeds, whatever the files look like.

    python -m tests.demo.frozen

prints it; ``docs/quality.md`` records it. Detectors are tuned against this company: who changes it
makes figures of before and after incomparable, and must measure again.
"""

import hashlib

from prebill.core.schemas import INBOUND
from prebill.demo import generator

SEEDS = (1, 2)
CUSTOMERS = 400


def fingerprint() -> str:
    """SHA-256 over the files and the truth of both seeds, with the unseen families."""
    digest = hashlib.sha256()
    for seed in SEEDS:
        company, jumps = generator.make_company(seed, CUSTOMERS)
        frames, faults = generator.make_faulty(seed, company, jumps, with_unseen=True)
        for contract in INBOUND:
            rows = contract.conform(frames[contract.name])
            digest.update(rows.write_csv().encode())
        digest.update(faults.write_csv().encode())
    return digest.hexdigest()


if __name__ == "__main__":
    print(fingerprint())

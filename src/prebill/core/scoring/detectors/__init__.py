"""One file per detector, listed in ``DETECTORS``."""

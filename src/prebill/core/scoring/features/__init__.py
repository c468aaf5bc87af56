"""One file per feature family: ``profile(history, keys)`` and ``features(rows, profile)``."""

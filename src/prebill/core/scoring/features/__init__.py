"""One file per feature family: ``profile(history)`` and ``features(draft, profile)``."""

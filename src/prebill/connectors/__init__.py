"""One file per outside system; each fails as TransientError or PermanentError."""

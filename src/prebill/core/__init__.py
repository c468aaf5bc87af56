"""The functional core: arithmetic and judgement, frames in, frames and findings out; no I/O."""

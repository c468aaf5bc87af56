"""Prebill: subscription billing in which every invoice is judged before it is released."""

__version__ = "0.1.0"

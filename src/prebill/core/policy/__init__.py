"""Turns scores and findings into release, review or hold."""

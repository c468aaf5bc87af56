"""Alembic's revisions of our tables. Numbers grow by one; each has a way forward only."""

"""State in SQL. ``engine.py`` alone commits; SQLAlchemy lives nowhere else."""

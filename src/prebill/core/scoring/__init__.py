"""From drafts and history to scores with reasons. High = unusual, everywhere."""

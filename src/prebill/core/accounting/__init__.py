"""From an issued document to balanced postings, and the comparison of sides."""

"""Drift: windows of judged invoices against a reference, alarms that name what to do."""

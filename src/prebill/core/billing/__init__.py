"""From usage and contracts to taxed draft invoices. Exact: no float in here."""

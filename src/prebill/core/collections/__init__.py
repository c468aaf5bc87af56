"""What is proposed so that invoices are paid. Proposals only: nothing here sends anything."""

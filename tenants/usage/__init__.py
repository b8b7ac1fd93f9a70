"""What an organization has used: records that invoices are made from."""

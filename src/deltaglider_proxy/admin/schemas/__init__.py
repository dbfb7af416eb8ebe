"""What the admin API takes and gives, one module per resource."""

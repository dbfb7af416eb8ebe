"""What is read and written of each aggregate, inside one transaction."""

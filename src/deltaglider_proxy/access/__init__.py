"""Who may do what: signatures and identities."""

"""Users, groups, providers and mapping rules as a document: what it asks for, how that differs, and making it so."""

"""The control plane's database: users, sessions, configuration history, and the audit log. No object bytes."""

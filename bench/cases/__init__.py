"""What is measured, a module each. A case takes `Plan` and returns its tables."""

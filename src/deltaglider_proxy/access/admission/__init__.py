"""What the operator decides about a request before anyone asks who sent it."""

"""Where this process may connect to on somebody's behalf: the one place that every outbound call passes."""

"""An S3-compatible proxy that stores similar objects as small deltas and returns them byte-identical."""

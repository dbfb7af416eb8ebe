"""Objects in a service that speaks S3."""

"""The `s3` commands: objects of any S3 endpoint, stored as the server stores them."""

"""Images: the package a container is started from, in the OCI image format."""

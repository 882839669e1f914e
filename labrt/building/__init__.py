"""Building: from a Containerfile and a folder to an image (docs/build.md)."""

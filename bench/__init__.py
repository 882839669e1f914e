"""The benchmark: subject × experiment → observations. See docs/architecture.md."""

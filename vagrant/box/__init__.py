"""Builds the lab machine's disk, and the boxes that hold it."""

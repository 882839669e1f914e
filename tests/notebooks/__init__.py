"""Tests of the notebooks: executed as a student gets them, and solved."""

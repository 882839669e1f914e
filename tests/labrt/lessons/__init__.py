"""Tests of labrt/lessons."""

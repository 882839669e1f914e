"""The tests mirror the house: tests/labrt/test_x.py tests labrt/x.py, and so on."""

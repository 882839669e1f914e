"""`labrt history`: the same as `labrt image history`."""

from labrt.commands.image_verbs.history import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

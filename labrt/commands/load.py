"""`labrt load`: the same as `labrt image load`."""

from labrt.commands.image_verbs.load import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

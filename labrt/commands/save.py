"""`labrt save`: the same as `labrt image save`."""

from labrt.commands.image_verbs.save import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

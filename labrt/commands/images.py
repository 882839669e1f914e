"""`labrt images`: the same as `labrt image ls`."""

from labrt.commands.image_verbs.ls import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

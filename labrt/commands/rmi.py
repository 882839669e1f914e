"""`labrt rmi`: the same as `labrt image rm`."""

from labrt.commands.image_verbs.rm import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

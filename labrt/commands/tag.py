"""`labrt tag`: the same as `labrt image tag`."""

from labrt.commands.image_verbs.tag import HELP, arguments, main

__all__ = ["HELP", "arguments", "main"]

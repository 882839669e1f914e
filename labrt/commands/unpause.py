"""`labrt unpause`: Docker's word for `labrt resume`."""

from labrt.commands.resume import arguments, main

HELP = "the same as resume"
__all__ = ["HELP", "arguments", "main"]

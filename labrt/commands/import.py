"""`labrt import`: the same as `labrt image import`."""

from importlib import import_module

_verb = import_module("labrt.commands.image_verbs.import")  # "import" is a word of Python's
HELP, arguments, main = _verb.HELP, _verb.arguments, _verb.main

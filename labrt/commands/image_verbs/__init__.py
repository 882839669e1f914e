"""The verbs of `labrt image`, one thin file each: HELP, its arguments, and `main`. Some are also
commands of their own, where Docker's users look for them (`labrt images`, `labrt rmi`)."""

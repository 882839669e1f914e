"""One thin file per command of `labrt`: HELP, its arguments, and `main`, which returns the exit
status. The file's name is the command's; a new command is one new file."""

"""The verbs of the OCI command line, a file each: HELP, `arguments(parser)`, `main(options)`."""

"""`labrt logout REGISTRY`: forget the name and the password that `labrt login` kept."""

from __future__ import annotations

import argparse

from labrt.images import logins, references

HELP = "forget the login for a registry"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", metavar="REGISTRY", help="host or host:port")


def main(options: argparse.Namespace) -> int:
    name = references.registry(options.registry)
    logins.remove(name)
    print(f"logged out of {name}")
    return 0

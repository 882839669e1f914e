"""`labrt login REGISTRY`: try a name and a password, and keep them if they hold."""

from __future__ import annotations

import argparse
import getpass
import sys

from labrt.commands.pull import access, access_arguments
from labrt.errors import LabError
from labrt.images import logins, references
from labrt.images.logins import Login
from labrt.images.registry_api import connected

HELP = "keep a name and a password for a registry"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", metavar="REGISTRY", help="host or host:port")
    parser.add_argument("-u", "--username", default="", metavar="NAME", help="asked for if missing")
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="take the password from standard input instead of asking for it",
    )
    access_arguments(parser)


def main(options: argparse.Namespace) -> int:
    name = references.registry(options.registry)
    login = _stdin_login(options) if options.password_stdin else _asked_login(options)
    with connected(name, access(options), login) as registry:
        if not registry.wants_login:
            raise LabError(f"log in to {name}", "it wants no login: anybody may ask it")
        registry.greet_again()
    logins.store(name, login)
    print(f"logged in to {name} as {login.user}")
    return 0


def _stdin_login(options: argparse.Namespace) -> Login:
    if not options.username:
        raise LabError("log in", "--password-stdin needs a name", remedy="-u NAME")
    return Login(options.username, _sound(sys.stdin.readline().rstrip("\r\n")))


def _asked_login(options: argparse.Namespace) -> Login:
    """There is no option for the password: it would show in ps(1) and in the shell's history."""
    if not sys.stdin.isatty():
        raise LabError("ask for the password", "no terminal", remedy="-u NAME --password-stdin")
    user = options.username or input("name: ")
    return Login(user, _sound(getpass.getpass("password: ")))


def _sound(password: str) -> str:
    if not password:
        raise LabError("log in", "the password is empty")
    return password

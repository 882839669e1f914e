"""`labrt network create|ls|inspect|rm`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from labrt import networks
from labrt.networks import Network

HELP = "create, list and remove networks"


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    create = verbs.add_parser("create", help="define a network")
    create.add_argument("--subnet", metavar="CIDR", help="default: one that is free")
    create.add_argument("--gateway", metavar="ADDRESS", help="the host's; default: the first")
    create.add_argument("name", metavar="NAME")
    verbs.add_parser("ls", help="list the networks")
    for verb, what in (("inspect", "tell all of it as JSON"), ("rm", "remove it")):
        verbs.add_parser(verb, help=what).add_argument("names", metavar="NAME", nargs="+")


def main(options: argparse.Namespace) -> int:
    if options.verb == "create":
        print(networks.create(options.name, options.subnet, options.gateway).name)
    elif options.verb == "ls":
        for network in map(networks.existing, networks.names()):
            print(f"{network.name:20} {network.subnet:20} {network.bridge}")
    elif options.verb == "inspect":
        told = [_inspected(networks.existing(name)) for name in options.names]
        print(json.dumps(told, indent=2))
    else:
        for name in options.names:
            networks.remove(name)
            print(name)
    return 0


def _inspected(network: Network) -> dict[str, object]:
    containers = [lease._asdict() for lease in networks.leases(network)]
    return {**asdict(network), "bridge": network.bridge, "containers": containers}

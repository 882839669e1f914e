"""`labrt pull IMAGE`: fetch an image from a registry."""

from __future__ import annotations

import argparse
from pathlib import Path

from labrt.images import progress, registry
from labrt.images.wire import Access

HELP = "fetch an image from a registry"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="[REGISTRY/]NAME[:TAG][@DIGEST]")
    parser.add_argument(
        "--platform", default="", metavar="OS/ARCH[/VARIANT]", help="instead of this host's"
    )
    transfer_arguments(parser)


def main(options: argparse.Namespace) -> int:
    with progress.shown(options.quiet) as shown:
        image = registry.pull(options.image, access(options), options.platform, shown)
    print(f"{image.name} {image.digest}")
    return 0


def transfer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    access_arguments(parser)


def access_arguments(parser: argparse.ArgumentParser) -> None:
    """What pull, push and login have in common: how the registry is reached."""
    parser.add_argument(
        "--cert-dir",
        type=Path,
        metavar="DIR",
        help="trust the certificates DIR/*.crt besides the system's",
    )
    parser.add_argument(
        "--tls-verify",
        choices=("true", "false"),
        default="true",
        help="false trusts any certificate: whoever is on the way can be the registry",
    )
    parser.add_argument(
        "--plain-http",
        action="store_true",
        help="without TLS: whoever is on the way reads and changes everything",
    )


def access(options: argparse.Namespace) -> Access:
    return Access(options.cert_dir, options.tls_verify == "true", options.plain_http)

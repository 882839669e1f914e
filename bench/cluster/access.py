"""Who may talk to whom in a cluster.

Whoever reaches a scheduler or worker of Dask has it run any program: functions travel as pickles,
and that is what it is for. So both listen on the loopback alone, or ask for certificates (Dask's
own TLS: https://distributed.dask.org/en/stable/tls.html). What isn't said by an option stands in
Dask's own configuration: DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ~/.config/dask/*.yaml.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labrt.errors import LabError, errno_text

if TYPE_CHECKING:
    from distributed import Security

PORT = 8786
REASON = "without TLS, whoever reaches it has it run any program"
REMEDY = (
    "name certificates with --tls-ca-file, --tls-cert and --tls-key (docs/cluster.md); "
    "--insecure where nobody else is on this network"
)


@dataclass(frozen=True)
class Access:
    """An address ("tls://10.0.0.1:8786"), and what opens it.

    Attributes:
        ca_file, cert, key: files in PEM format; None: as Dask's configuration says.
        insecure: do without TLS though others may reach it.
    """

    address: str
    ca_file: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    @property
    def encrypted(self) -> bool:
        return self.address.startswith("tls://")

    @property
    def exposed(self) -> bool:
        """True if others than this host's users may reach it, and nothing keeps them off."""
        return not self.encrypted and not is_loopback(self.host)

    def with_host(self, host: str) -> Access:
        """Return the same of another host, at a port that the kernel chooses."""
        bracketed = f"[{host}]" if ":" in host else host
        return replace(self, address=f"{urlsplit(self.address).scheme}://{bracketed}:0")

    def check_listener(self, what: str) -> None:
        """Let it be listened there.

        Raises:
            LabError: anyone could reach it.
        """
        if self.exposed and not self.insecure:
            raise LabError(f"{what} {self.address}", "others may reach it", REASON, REMEDY)

    def security(self, role: str) -> Security:
        """Return Dask's settings.

        Args:
            role: "client", "worker" or "scheduler".

        Raises:
            LabError: a certificate or key is missing or can't be read.
        """
        from distributed import Security

        given = {"tls_ca_file": self.ca_file, f"tls_{role}_cert": self.cert}
        given[f"tls_{role}_key"] = self.key
        named = {key: value for key, value in given.items() if value}
        made = Security(require_encryption=self.encrypted, **named)
        if self.encrypted:
            _check(made, role)
        return made


def _check(made: Security, role: str) -> None:
    """Read the files now: later, Dask would tell in the middle of something else."""
    files = made.get_tls_config_for_role(role)
    missing = [name for name in ("ca_file", "cert", "key") if not files.get(name)]
    if missing:
        raise LabError("use TLS", f"no {missing[0]} is named", remedy=REMEDY.partition(";")[0])
    try:
        made.get_connection_args(role)
    except ssl.SSLError as error:
        named = ", ".join(str(files[name]) for name in ("ca_file", "cert", "key"))
        answer = error.reason or str(error)
        raise LabError(f"read {named}", answer, "not PEM, or not of one another") from error
    except OSError as error:
        raise LabError(f"read the certificates of the {role}", errno_text(error)) from error


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add Dask's own options for TLS, and the one that does without."""
    tls = parser.add_argument_group("a cluster's security (docs/cluster.md)")
    tls.add_argument("--tls-ca-file", metavar="PEM", help="whom to trust")
    tls.add_argument("--tls-cert", metavar="PEM", help="what to show")
    tls.add_argument("--tls-key", metavar="PEM", help="the certificate's key")
    tls.add_argument("--insecure", action="store_true", help="do without TLS on a network")


def asked(options: argparse.Namespace, address: str) -> Access:
    """Return what the options say of an address; without a scheme it is TLS where that is set.

    Raises:
        LabError: it is no address, or Dask isn't installed.
    """
    _check_installed()
    scheme, there, rest = address.rpartition("://")
    if not there:
        scheme = "tls" if _tls_is_set(options) else "tcp"
    try:
        port = urlsplit(f"//{rest}").port or (0 if rest.endswith(":0") else PORT)
        host = urlsplit(f"//{rest}").hostname
    except ValueError:
        host = None
    if scheme not in ("tcp", "tls") or not host:
        raise LabError(f"use the address {address}", remedy="write it as tls://10.0.0.1:8786")
    bracketed = f"[{host}]" if ":" in host else host
    return Access(
        address=f"{scheme}://{bracketed}:{port}",
        ca_file=options.tls_ca_file,
        cert=options.tls_cert,
        key=options.tls_key,
        insecure=options.insecure,
    )


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise LabError(
            "use a fleet", str(error), "Dask is an optional extra", "./lab setup --cluster"
        ) from error


def _tls_is_set(options: argparse.Namespace) -> bool:
    if options.tls_ca_file:
        return True
    import dask.config
    import distributed  # noqa: F401 - its part of the configuration is read with it

    return bool(dask.config.get("distributed.comm.tls.ca-file"))


def is_loopback(host: str) -> bool:
    """True if a name or address is reached from this host alone.

    Raises:
        LabError: no address belongs to the name.
    """
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise LabError(f"find the host {host}", str(error.strerror)) from error
    return all(ipaddress.ip_address(str(each).partition("%")[0]).is_loopback for each in found)


def own_address(host: str) -> str:
    """Return this host's address as seen from `host`, by the way that leads there.

    Raises:
        LabError: no way leads there.
    """
    try:
        family, kind, protocol, _, there = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as way:
            way.connect(there)  # sends nothing (udp(7))
            return str(way.getsockname()[0])
    except OSError as error:
        raise LabError(f"find the way to {host}", errno_text(error)) from error

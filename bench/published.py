"""What others have published, each figure with what exactly was measured.

Times of starts differ less by the machine than by which event begins them and which ends them. So a
figure belongs to a definition, and only figures of one definition stand side by side; each says how
it differs from what is measured here. Data only: how it is shown is in `views/_published.py`.

Checked means: read in the source itself, or computed from its raw data, and not in a text about it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """From which event to which, and how that differs from what is measured here."""

    what: str
    differs: str


@dataclass(frozen=True)
class Result:
    """One figure.

    Attributes:
        value: in `unit`.
        is_: what the value is: "median", "mean", "at most", "more than", "about".
        checked: against the source itself.
    """

    source: str
    year: int
    subject: str
    value: float
    is_: str
    definition: Definition
    hardware: str
    url: str
    unit: str = "s"
    checked: bool = True


MIB = 1024**2
ABSENT = "not known here"

# ---------------------------------------------------------------------------------------------
# Starts, in seconds. Here: T0→T3, from the call to the ready line of the image's program.

_VMM_TO_EXIT = Definition(
    "from the start of the VMM's process to its end; the guest's init does nothing but end",
    "it holds the way down, too, and nobody waits for a program to be ready",
)
_API_TO_INIT = Definition(
    "from the arrival of the call InstanceStart to the guest's /sbin/init",
    "the VMM runs already, and the program is still to come",
)
_ENGINE_TO_DATE = Definition(
    "from the host's clock before an engine's run to what `date` says inside",
    "an engine is in it, and the end is read from the guest's clock",
)
_RUN_TO_EXIT = Definition(
    "an engine's run of /bin/true from call to end; a hundredth of 100 in a row",
    "it holds the end and the removal, too",
)
_CREATE_TO_DELETE = Definition(
    "a runtime's create, start and delete --force, caches dropped before",
    "it holds the removal, and reads everything from disk anew",
)
_UNIKERNEL = Definition(
    "from a VM's creation to the end of its boot; its guest is a unikernel that does nothing",
    "no Linux, no process 1 and no program are in the guest",
)
_ENGINE_START = Definition(
    "a container's start by its engine, until it runs",
    "what the program itself takes is left out",
)
_VMM_ALONE = Definition(
    "the VMM's own part of a unikernel's start, up to the guest's first instruction",
    "nothing of the guest is in it: nearest to T0→T1",
)
_COLD_START = Definition(
    "a secure container's cold start on an idle host",
    "from which event to which isn't told in the abstract",
)

_M5D = "AWS m5d.metal; 1 vCPU, 256 MiB, n = 500"
_NSDI = ("Firecracker, NSDI, raw data", 2020)
_NSDI_URL = "https://github.com/firecracker-microvm/nsdi2020-data"
_KATA = "Kata Containers, CI baselines"
_M3, _C1 = "CI worker, Equinix m3.small.x86", "CI worker, packet.com c1.small"
_KATA_URL = "https://github.com/kata-containers/kata-containers (tests/metrics, until 2026)"
_YOUKI = "16 cores, 62 GiB, Linux 6.5, cgroup v2"
_YOUKI_URL = "https://github.com/youki-dev/youki"
_SOSP = ("LightVM, SOSP", 2017)
_SOSP_URL = "https://doi.org/10.1145/3132747.3132763"
_UNIKRAFT = ("Unikraft, EuroSys", 2021)
_UNIKRAFT_URL = "https://doi.org/10.1145/3447786.3456248"
_ATC = ("RunD, USENIX ATC", 2022)
_ATC_URL = "https://www.usenix.org/conference/atc22/presentation/li-zijun-rund"

STARTS = (
    Result(*_NSDI, "Cloud Hypervisor", 0.102, "median", _VMM_TO_EXIT, _M5D, _NSDI_URL),
    Result(*_NSDI, "Firecracker", 0.161, "median", _VMM_TO_EXIT, _M5D, _NSDI_URL),
    Result(*_NSDI, "QEMU with qboot", 0.214, "median", _VMM_TO_EXIT, _M5D, _NSDI_URL),
    Result(*_NSDI, "QEMU", 0.244, "median", _VMM_TO_EXIT, _M5D, _NSDI_URL),
    Result(
        "Firecracker, SPECIFICATION.md",
        2020,
        "Firecracker",
        0.125,
        "at most",
        _API_TO_INIT,
        "AWS i3.metal, later m5d.metal; 1 vCPU, 128 MiB",
        "https://github.com/firecracker-microvm/firecracker/blob/main/SPECIFICATION.md",
    ),
    Result(
        _KATA,
        2024,
        "Kata, Cloud Hypervisor",
        0.39,
        "mean",
        _ENGINE_TO_DATE,
        _C1,
        _KATA_URL,
    ),
    Result(
        _KATA, 2023, "Kata, QEMU", 0.71, "mean", _ENGINE_TO_DATE, _M3, _KATA_URL
    ),
    *(
        Result("crun, README", 2019, name, value, "mean", _RUN_TO_EXIT, ABSENT,
               "https://github.com/containers/crun")
        for name, value in (("crun", 0.0169), ("runc", 0.0334))
    ),
    *(
        Result("youki, README", 2024, name, value, "mean", _CREATE_TO_DELETE, _YOUKI, _YOUKI_URL)
        for name, value in (("crun", 0.0473), ("youki", 0.1115), ("runc", 0.2246))
    ),
    Result(*_SOSP, "LightVM", 0.0023, "about", _UNIKERNEL, ABSENT, _SOSP_URL),
    Result(*_SOSP, "Docker", 0.15, "about", _ENGINE_START, ABSENT, _SOSP_URL, checked=False),
    *(
        Result(*_UNIKRAFT, name, value, "mean", _VMM_ALONE, ABSENT, _UNIKRAFT_URL, checked=False)
        for name, value in (("Firecracker", 0.0015), ("QEMU microvm", 0.009), ("QEMU", 0.0378))
    ),
    Result(*_ATC, "RunD", 0.088, "about", _COLD_START, ABSENT, _ATC_URL, checked=False),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------
# Memory of one instance, in bytes. Here: PSS of all processes that the host has because of it.

_VMM_MEMORY = Definition(
    "what the VMM's threads take beyond the guest's RAM",
    "the guest's own RAM, most of a VM's PSS here, is left out",
)
_KATA_PSS = Definition(
    "PSS of all that Kata has because of a container: VMM, shim, virtiofsd",
    "shim and file server are in it, and the guest is a larger one",
)
_EACH = Definition(
    "what one more secure container takes beyond its program",
    "the program is left out, and which account it was isn't told in the abstract",
)

MEMORY = (
    Result(
        "Firecracker, SPECIFICATION.md",
        2020,
        "Firecracker",
        5 * MIB,
        "at most",
        _VMM_MEMORY,
        "AWS i3.metal, later m5d.metal; 1 vCPU, 128 MiB",
        "https://github.com/firecracker-microvm/firecracker/blob/main/SPECIFICATION.md",
        unit="B",
    ),
    Result(
        _KATA,
        2023,
        "Kata, QEMU",
        122_832 * 1024,
        "mean",
        _KATA_PSS,
        _M3,
        _KATA_URL,
        unit="B",
    ),
    Result(
        _KATA,
        2023,
        "Kata, Cloud Hypervisor",
        127_220 * 1024,
        "mean",
        _KATA_PSS,
        _C1,
        _KATA_URL,
        unit="B",
    ),
    Result(*_ATC, "RunD", 20e6, "at most", _EACH, ABSENT, _ATC_URL, unit="B", checked=False),
)

# ---------------------------------------------------------------------------------------------
# How many at once. Here: idle instances until a declared rule says stop.

_AS_MANY = Definition(
    "as many as one host has carried", "which rule ended it is another: memory, mostly"
)
_SOSP_HOST = "64 cores, 128 GB"

DENSITY = (
    Result(*_SOSP, "LightVM", 8000, "about", _AS_MANY, _SOSP_HOST, _SOSP_URL, "1", checked=False),
    Result(*_SOSP, "Docker", 3000, "about", _AS_MANY, _SOSP_HOST, _SOSP_URL, "1", checked=False),
    Result(*_ATC, "RunD", 2500, "more than", _AS_MANY, "384 GB", _ATC_URL, "1"),
)

# ---------------------------------------------------------------------------------------------
# How many a second, asked for at once. Here: until the last of them is ready.

_RATE = Definition(
    "instances made in a second on one host, again and again",
    "here so many are started once; the host, and when one counts as made, are others",
)

RATES = (
    Result(
        "Firecracker, NSDI",
        2020,
        "Firecracker",
        150,
        "at most",
        _RATE,
        ABSENT,
        "https://www.usenix.org/conference/nsdi20/presentation/agache",
        unit="1/s",
        checked=False,
    ),
    Result(*_ATC, "RunD", 200, "more than", _RATE, ABSENT, _ATC_URL, unit="1/s", checked=False),
)

# ---------------------------------------------------------------------------------------------
# What a VM under KVM takes of computing, network and disk. Here: the column × process.

_LINPACK = Definition(
    "Linpack's rate on all cores, as a part of the bare host's",
    "another program, a rate and not a time, and with KVM",
)
_TRIP = Definition(
    "what a TCP round trip takes more than from the bare host, over a wire to another host",
    "here nothing leaves the host, and what is shown is the whole trip; with KVM",
)
_IOPS = Definition(
    "random reads and writes a second, as a part of the bare host's",
    "many requests at a time, on a much faster disk; with KVM",
)
_IBM = ("Felter and others, IBM RC25482", 2014)
_IBM_HOST = "2 × Xeon E5-2665, 16 cores, 256 GB"
_IBM_URL = "https://doi.org/10.1109/ISPASS.2015.7095802"

COMPUTING = (
    Result(*_IBM, "KVM, untuned", 0.83, "about", _LINPACK, _IBM_HOST, _IBM_URL, "1", checked=False),
    Result(*_IBM, "KVM, tuned", 0.98, "about", _LINPACK, _IBM_HOST, _IBM_URL, "1", checked=False),
)
NETWORK = (Result(*_IBM, "KVM", 30e-6, "about", _TRIP, _IBM_HOST, _IBM_URL, checked=False),)
DISK = (Result(*_IBM, "KVM", 0.5, "about", _IOPS, _IBM_HOST, _IBM_URL, "1", checked=False),)


def definitions(results: tuple[Result, ...]) -> list[Definition]:
    """Return what was measured, each once, in the order of the figures."""
    return list(dict.fromkeys(result.definition for result in results))

"""The claims that introductory texts make about containers and virtual machines, and what shows
each of them. A claim's number is its identity everywhere: here, in docs/claims.md, in notebooks, in
claims.json.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: "C04".
        text: what is claimed.
        experiments: whose rows can judge it; none: only a lesson can show it.
        lessons: numbers of the notebooks that show it ("02").
        cannot_tell: what a verdict from these experiments leaves open.
    """

    id: str
    text: str
    experiments: tuple[str, ...] = ()
    lessons: tuple[str, ...] = ()
    cannot_tell: str = ""


DOORS = "It counts what can be seen and reached, not how strong the walls are."
IDLE = "The instances are idle, and one small program on one host: a service adds its own."
ONE_WAY = "It is seen from one instance; two of them side by side are the lesson's."

CLAIMS = (
    Claim(
        "C01",
        "A container is a software package with everything it needs to run",
        lessons=("17",),
    ),
    Claim("C02", "It runs anywhere: data centre, cloud, laptop", lessons=("18",)),
    Claim("C03", "Its packaging is standard", lessons=("18",)),
    Claim(
        "C04",
        "It is more isolated than an ordinary process",
        ("isolation",),
        ("16",),
        DOORS + " A fault in the kernel that it shares undoes all of them.",
    ),
    Claim(
        "C05",
        "It separates concerns: developers care about the inside, operators about the outside",
        lessons=("21",),
    ),
    Claim(
        "C06",
        "A VM runs a guest operating system on a hypervisor; a container shares the host's kernel",
        ("isolation",),
        ("19",),
        "A boot id and a processor's bit are what a kernel and a hypervisor say of themselves.",
    ),
    Claim(
        "C07",
        "A container is a process of the host set apart",
        ("isolation",),
        ("01", "04"),
        "The two numbers of one process, side by side, are the lesson's.",
    ),
    Claim(
        "C08",
        "A container carries only binaries and libraries instead of a guest OS",
        ("image",),
        ("17",),
        "One image on one guest kernel: a distribution's own cloud image is many times larger.",
    ),
    Claim(
        "C09",
        "A VM moves less easily",
        ("image",),
        (),
        "Both ends are on one host: a real network adds its own time to each byte.",
    ),
    Claim(
        "C10",
        "A VM scales less easily",
        ("density", "scale-out"),
        ("20",),
        IDLE,
    ),
    Claim("C11", "Containers are declarative", lessons=("24",)),
    Claim(
        "C12",
        "The runtime unpacks the package and runs it with namespaces and cgroups",
        lessons=("00",),
    ),
    Claim(
        "C13",
        "mnt: mount and unmount independently of the host's file system",
        ("isolation",),
        ("03",),
        "Nothing was mounted: the table of mounts before and after is the lesson's.",
    ),
    Claim("C14", "pid: a process number space of its own", ("isolation",), ("04",), ONE_WAY),
    Claim(
        "C15",
        "net: a network stack of its own, the same port bound twice",
        ("isolation",),
        ("06",),
        "No port was bound: two servers on one port number are the lesson's.",
    ),
    Claim(
        "C16",
        "ipc: System V IPC of its own",
        ("isolation",),
        ("05",),
        "No queue was made, for it would outlive the process: one key used twice is the lesson's.",
    ),
    Claim("C17", "uts: a host name of its own", ("isolation",), ("02",), ONE_WAY),
    Claim(
        "C18",
        "user: user ids of its own",
        ("isolation",),
        ("07",),
        "Which file it may not touch, though it is root inside, is the lesson's.",
    ),
    Claim(
        "C19",
        "Groups of processes can't see one another",
        ("isolation",),
        ("04", "05", "06"),
        "Names, processes, files and sockets were looked at; what the time that a shared cache or "
        "CPU takes gives away wasn't.",
    ),
    Claim(
        "C20",
        "cgroups limit the CPU and memory that the processes may use",
        ("limits",),
        ("11", "12"),
        "Not tried: I/O, numbers of processes, and what one instance's demand takes from another.",
    ),
    Claim("C21", "Registry → build → image → run is the architecture", lessons=("18",)),
    Claim(
        "C22",
        "Containers deploy quickly",
        ("image", "startup"),
        (),
        "The new version is one changed file; a build that compiles takes longer for both.",
    ),
    Claim(
        "C23",
        "They start, stop and scale up and down quickly",
        ("startup", "stop", "scale-out"),
        ("20",),
        "The entry point is ready at once and has nothing to save; a database isn't and has.",
    ),
    Claim(
        "C24",
        "They have low overhead because there is no hypervisor",
        ("cpu", "bandwidth", "latency", "disk", "network"),
        ("20",),
        "That the hypervisor is the cause isn't shown: the VM has another kernel, too.",
    ),
    Claim(
        "C25",
        "They use a server better and cost less",
        ("memory", "density"),
        ("20",),
        IDLE + " Operation, licences and isolation have prices of their own.",
    ),
    Claim(
        "C26",
        "Only the changed part is applied",
        ("image",),
        ("17",),
        "A disk can be sent by its changed blocks, too, by tools that neither side here uses.",
    ),
    Claim(
        "C27",
        "They install on bare metal, in VMs and in clouds alike",
        lessons=("19",),
    ),
)

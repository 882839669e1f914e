"""System calls that Python's standard library lacks, one thin function each, named as in section 2
of the manual. They change nothing but what the man page says and raise OSError with the kernel's
errno.

`PyDLL` keeps the interpreter lock during a call. That matters for clone3(2): the child begins with
the lock held and no other thread to wait for, so it can go on running Python. It also means these
calls belong in a single-threaded process (`labrt/launcher.py` is one).
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_libc.mount.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p]
_libc.close_range.argtypes = [ctypes.c_uint, ctypes.c_uint, ctypes.c_int]
_libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_libc.signal.restype = ctypes.c_void_p
_SIG_ERR = ctypes.c_void_p(-1).value
for _name in ("syscall", "umount2", "unshare"):
    getattr(_libc, _name)  # looked up now, once: otherwise every child would, anew

# clone(2), unshare(2), setns(2)
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

# mount(2)
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

# mount_setattr(2); the others of its attributes have the values of mount(2)'s flags
MOUNT_ATTR_IDMAP = 0x00100000

# open_tree(2)
OPEN_TREE_CLONE = 1

# move_mount(2): MOVE_MOUNT_F_EMPTY_PATH and MOVE_MOUNT_T_EMPTY_PATH
MOVE_MOUNT_BY_DESCRIPTORS = 0x04 | 0x40

# openat2(2)
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_NO_SYMLINKS = 4
RESOLVE_IN_ROOT = 16

# prctl(2)
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2

# statx(2): where struct statx has a file's mode, and the device that it is
STX_MODE = 28
STX_RDEV = 128

# seccomp(2)
SECCOMP_SET_MODE_FILTER = 1

# close_range(2)
CLOSE_RANGE_CLOEXEC = 4

# inotify(7): IN_MODIFY, IN_ATTRIB, IN_MOVED_TO, IN_DELETE
IN_ANY_CHANGE = 0x2 | 0x4 | 0x80 | 0x200

# bpf(2)
BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8

# The same numbers on every architecture.
_SYS_open_tree = 428
_SYS_move_mount = 429
_SYS_clone3 = 435
_SYS_openat2 = 437
_SYS_mount_setattr = 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
_SIGCHLD = 17


def _number(x86_64: int, s390x: int, ppc64le: int, others: int) -> int:
    """The number here of a system call: the few architectures that Python and libseccomp both know
    (linux/unistd.h of each)."""
    known = {"x86_64": x86_64, "s390x": s390x, "ppc64le": ppc64le}
    return known.get(os.uname().machine, others)


_SYS_seccomp = _number(317, 348, 358, 277)
_SYS_bpf = _number(321, 351, 361, 280)
_SYS_sched_setattr = _number(314, 345, 355, 274)
_SYS_ioprio_set = _number(251, 282, 273, 30)
_SYS_ioprio_get = _number(252, 283, 274, 31)
_SYS_set_mempolicy = _number(238, 270, 261, 237)
_SYS_keyctl = _number(250, 280, 271, 219)
# keyctl(2)
KEYCTL_JOIN_SESSION_KEYRING = 1
KEYCTL_SETPERM = 5
_KEYCTL_GET_KEYRING_ID = 0
_KEY_SPEC_SESSION_KEYRING = -3


class _CloneArgs(ctypes.Structure):
    """struct clone_args, version 2 (clone3(2))."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


class _OpenHow(ctypes.Structure):
    """struct open_how (openat2(2))."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


class _MountAttr(ctypes.Structure):
    """struct mount_attr (mount_setattr(2))."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    ]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


class _SockFprog(ctypes.Structure):
    """struct sock_fprog (seccomp(2))."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


_CapSets = _CapData * 2  # for the low and the high 32 capabilities
_CAPABILITY_VERSION_3 = 0x20080522


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def _bytes(text: str | os.PathLike[str] | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def clone3(flags: int, cgroup: int | None = None) -> tuple[int, int]:
    """clone3(2) with fork's behaviour and a pidfd.

    Args:
        cgroup: descriptor of the v2 cgroup folder that the child is born in; None for the parent's.

    Returns:
        (pid, pidfd) in the parent, the pidfd close-on-exec; (0, -1) in the child.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags | CLONE_PIDFD | (0 if cgroup is None else CLONE_INTO_CGROUP),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=0 if flags & CLONE_PARENT else _SIGCHLD,  # a sibling has its parent's
        cgroup=cgroup or 0,
    )
    pid = _checked(_libc.syscall(_SYS_clone3, ctypes.byref(args), ctypes.sizeof(args)))
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(flags))


def setns(fd: int, nstype: int) -> None:
    """setns(2)."""
    _checked(_libc.setns(fd, nstype))


def mount(
    source: str | os.PathLike[str] | None,
    target: str | os.PathLike[str],
    filesystemtype: str | None,
    flags: int = 0,
    data: str | None = None,
) -> None:
    """mount(2)."""
    _checked(
        _libc.mount(
            _bytes(source),
            _bytes(target),
            _bytes(filesystemtype),
            flags,
            _bytes(data),
        )
    )


def umount2(target: str | os.PathLike[str], flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(_bytes(target), flags))


def pivot_root(new_root: str | os.PathLike[str], put_old: str | os.PathLike[str]) -> None:
    """pivot_root(2)."""
    _checked(_libc.pivot_root(_bytes(new_root), _bytes(put_old)))


def openat2(path: str, flags: int, resolve: int, folder: int = _AT_FDCWD) -> int:
    """openat2(2); return a descriptor, close-on-exec.

    Args:
        folder: a descriptor of the folder that a relative path is in; default: our own.
    """
    how = _OpenHow(flags=flags | os.O_CLOEXEC, resolve=resolve)
    size = ctypes.sizeof(how)
    arguments = (folder, _bytes(path), ctypes.byref(how), ctypes.c_size_t(size))
    return _checked(_libc.syscall(_SYS_openat2, *arguments), path)


def open_tree(path: str, recursive: bool = True, folder: int = _AT_FDCWD) -> int:
    """open_tree(2): return a descriptor of a copy of the mount that `path` is on, from there on,
    that isn't mounted anywhere yet; and of those below it, too, where `recursive`.

    Args:
        folder: a descriptor of the folder that a relative path is in; default: our own.
    """
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _checked(_libc.syscall(_SYS_open_tree, folder, _bytes(path), flags), path)


def mount_attr(attributes: int, propagation: int = 0, cleared: int = 0) -> bytes:
    """Return a struct mount_attr (mount_setattr(2))."""
    return bytes(_MountAttr(attr_set=attributes, attr_clr=cleared, propagation=propagation))


def mount_setattr(
    mount: int,
    attributes: int = 0,
    propagation: int = 0,
    recursive: bool = True,
    cleared: int = 0,
    userns: int = 0,
) -> None:
    """mount_setattr(2): change the attributes of a mount, and of those below it.

    Args:
        mount: a descriptor of it.
        attributes: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC (MOUNT_ATTR_* have the same values).
        propagation: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, 0 to leave it.
        cleared: attributes that are taken away before.
        userns: descriptor of the user namespace whose map MOUNT_ATTR_IDMAP applies.
    """
    attr = _MountAttr(
        attr_set=attributes, attr_clr=cleared, propagation=propagation, userns_fd=userns
    )
    flags = _AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    arguments = (mount, b"", flags, ctypes.byref(attr), size)
    _checked(_libc.syscall(_SYS_mount_setattr, *arguments))


def move_mount(mount: int, target: int) -> None:
    """move_mount(2): mount what `open_tree` returned on the file or folder of a descriptor."""
    _checked(_libc.syscall(_SYS_move_mount, mount, b"", target, b"", MOVE_MOUNT_BY_DESCRIPTORS))


def ioprio_set(pid: int, priority: int) -> None:
    """ioprio_set(2) of one process, IOPRIO_WHO_PROCESS."""
    _checked(_libc.syscall(_SYS_ioprio_set, 1, pid, priority))


def ioprio_get(pid: int) -> int:
    """ioprio_get(2) of one process."""
    return _checked(_libc.syscall(_SYS_ioprio_get, 1, pid))


class _SchedAttr(ctypes.Structure):
    """struct sched_attr, without utilization clamps (sched_setattr(2))."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def sched_setattr(
    pid: int,
    policy: int,
    flags: int = 0,
    nice: int = 0,
    priority: int = 0,
    times: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """sched_setattr(2) of one process.

    Args:
        times: runtime, deadline and period of SCHED_DEADLINE, nanoseconds.
    """
    size = ctypes.sizeof(_SchedAttr)
    attr = _SchedAttr(size, policy, flags, nice, priority, *times)
    _checked(_libc.syscall(_SYS_sched_setattr, pid, ctypes.byref(attr), 0))


def set_mempolicy(mode: int, nodes: int) -> None:
    """set_mempolicy(2).

    Args:
        mode: the mode, with its flags.
        nodes: a bit for each memory node, up to 1023.
    """
    mask = nodes.to_bytes(128, "little") if nodes else None
    _checked(_libc.syscall(_SYS_set_mempolicy, mode, mask, ctypes.c_ulong(1025 if nodes else 0)))


class _BpfProgLoad(ctypes.Structure):
    """union bpf_attr for BPF_PROG_LOAD, its first members (bpf(2))."""

    _fields_ = [
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
    ]


class _BpfProgAttach(ctypes.Structure):
    """union bpf_attr for BPF_PROG_ATTACH (bpf(2))."""

    _fields_ = [
        (name, ctypes.c_uint32) for name in ("target_fd", "bpf_fd", "attach_type", "attach_flags")
    ]


def bpf_prog_load(kind: int, program: bytes) -> int:
    """bpf(2), BPF_PROG_LOAD of struct bpf_insn (8 bytes each); return its descriptor."""
    instructions = ctypes.create_string_buffer(program, len(program))
    license = ctypes.create_string_buffer(b"GPL")
    attr = _BpfProgLoad(
        prog_type=kind,
        insn_cnt=len(program) // 8,
        insns=ctypes.addressof(instructions),
        license=ctypes.addressof(license),
    )
    size = ctypes.sizeof(attr)
    return _checked(_libc.syscall(_SYS_bpf, BPF_PROG_LOAD, ctypes.byref(attr), size))


def bpf_prog_attach(target: int, program: int, kind: int, flags: int) -> None:
    """bpf(2), BPF_PROG_ATTACH to a cgroup's folder."""
    attr = _BpfProgAttach(target, program, kind, flags)
    size = ctypes.sizeof(attr)
    _checked(_libc.syscall(_SYS_bpf, BPF_PROG_ATTACH, ctypes.byref(attr), size))


def signal_default(number: int) -> None:
    """signal(2) with SIG_DFL, without Python's bookkeeping: for who is about to call execve(2)."""
    if _libc.signal(number, None) == _SIG_ERR:
        _checked(-1)


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    """prctl(2), for the options that take no more than two arguments."""
    return _checked(_libc.prctl(option, arg2, arg3, 0, 0))


def set_name(name: str) -> None:
    """PR_SET_NAME(2const): what /proc/PID/comm shows, 15 bytes at most."""
    text = ctypes.create_string_buffer(name.encode())
    prctl(PR_SET_NAME, ctypes.addressof(text))


def cap_sets(effective: int, permitted: int, inheritable: int) -> tuple[bytes, bytes]:
    """Return what capset(2) takes: header and data; each set is a bit mask by capability number."""
    header = _CapHeader(version=_CAPABILITY_VERSION_3, pid=0)
    low, high = (
        _CapData(
            effective=(effective >> shift) & 0xFFFFFFFF,
            permitted=(permitted >> shift) & 0xFFFFFFFF,
            inheritable=(inheritable >> shift) & 0xFFFFFFFF,
        )
        for shift in (0, 32)
    )
    return bytes(header), bytes(_CapSets(low, high))


def capget() -> tuple[int, int, int]:
    """capget(2) of the calling thread: (effective, permitted, inheritable) as bit masks."""
    header = _CapHeader(version=_CAPABILITY_VERSION_3, pid=0)
    data = _CapSets()
    _checked(_libc.capget(ctypes.byref(header), data))
    low, high = data
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def seccomp(program: bytes, flags: int = 0) -> int:
    """seccomp(2), SECCOMP_SET_MODE_FILTER with a program of struct sock_filter (8 bytes each).

    Returns:
        The listener's descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0.
    """
    filter_program = _SockFprog(len(program) // 8, program)
    arguments = (SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filter_program))
    return _checked(_libc.syscall(_SYS_seccomp, *arguments))


def close_range(first: int, last: int, flags: int = 0) -> None:
    """close_range(2)."""
    _checked(_libc.close_range(first, last, flags))


UDP = (2, 2 | os.O_CLOEXEC, 0)  # AF_INET, SOCK_DGRAM: Python's own module takes 2 ms to import


def inotify_init() -> int:
    """inotify_init1(2); return a descriptor, close-on-exec."""
    return _checked(_libc.inotify_init1(os.O_CLOEXEC))


def inotify_add_watch(fd: int, path: str, mask: int) -> None:
    """inotify_add_watch(2)."""
    _checked(_libc.inotify_add_watch(fd, _bytes(path), mask))


def udp_socket() -> int:
    """socket(2) of this kind; return a descriptor, close-on-exec."""
    return _checked(_libc.socket(*UDP))


def session_keyring() -> int:
    """KEYCTL_GET_KEYRING_ID(2const): return the serial number of this process's session keyring, or
    of the user's, which stands in for it; -1 where there is neither."""
    number: int = _libc.syscall(_SYS_keyctl, _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING, 0)
    return number

"""Isolate this process from the machine, as far as the system allows it; for `sandboxed`.

It imports nothing of ours, because it runs without our package. Numbers of system calls and flags
are those of Linux's headers, for x86_64 and aarch64.
"""

# ruff: noqa: PTH101, PTH102, PTH103, PTH109, PTH110, PTH112, PTH120, PTH123

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys

_NEW_USER, _NEW_MOUNT, _NEW_NET, _NEW_PID = 0x10000000, 0x20000, 0x40000000, 0x20000000
_NEW_IPC, _NEW_UTS = 0x08000000, 0x04000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT, _BIND, _REC, _PRIVATE = (
    1,
    2,
    4,
    32,
    4096,
    16384,
    1 << 18,
)
_NOBODY = 65534
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_libc = ctypes.CDLL(None, use_errno=True)


def isolate(folder: str, file_megabytes: int) -> set[str]:
    """Cut this process off from the machine; returns the layers that the system allowed."""
    layers: set[str] = set()
    if not sys.platform.startswith("linux"):
        return layers
    user, group = os.getuid(), os.getgid()
    spaces = _NEW_MOUNT | _NEW_NET | _NEW_PID | _NEW_IPC | _NEW_UTS
    privileged = user == 0 and _libc.unshare(spaces) == 0
    if privileged or (_libc.unshare(spaces | _NEW_USER) == 0 and _map_ids(user, group)):
        layers.add("namespaces")
        with contextlib.suppress(OSError):
            _enter_root(folder, file_megabytes)
            layers.add("root")
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        _libc.prctl(1, signal.SIGKILL)  # it dies with its parent
    if "root" not in layers:
        os.chdir(folder)
    elif privileged:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)  # the limit of processes does not bind root
    _drop_capabilities()
    _libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    if _landlock(os.getcwd()):
        layers.add("landlock")
    if _seccomp(without_network="namespaces" not in layers):
        layers.add("seccomp")
    return layers


def _map_ids(user: int, group: int) -> bool:
    try:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_NOBODY} {user} 1"),
            ("gid_map", f"{_NOBODY} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError:
        return False
    return True


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _enter_root(folder: str, file_megabytes: int) -> None:
    """Make a small root of its own: the system read-only, a folder in memory, nothing else."""
    _mount("none", "/", "", _REC | _PRIVATE)
    size = f"size={max(8, 8 * file_megabytes)}m,nr_inodes=4096,mode=0755"
    _mount("tmpfs", folder, "tmpfs", _NO_SUID | _NO_DEVICES, size)
    for place in dict.fromkeys((*_SYSTEM, *_DEVICES, sys.base_prefix, sys.base_exec_prefix)):
        if os.path.exists(place):
            _bind(place, folder + place)
    for name in ("work", "tmp", "old"):
        os.mkdir(f"{folder}/{name}")
        os.chmod(f"{folder}/{name}", 0o777)  # noqa: S103 - a folder in memory, of this process
    pivot = {"x86_64": 155, "aarch64": 41}[platform.machine()]
    if _libc.syscall(pivot, folder.encode(), f"{folder}/old".encode()):
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/")
    if _libc.umount2(b"/old", 2):
        raise OSError(ctypes.get_errno(), "umount")
    os.chdir("/work")


def _bind(place: str, target: str) -> None:
    if os.path.isdir(place):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w"):
            pass
    device = place.startswith("/dev/")
    _mount(place, target, "", _BIND | _REC)
    held = os.statvfs(target).f_flag & ~1
    flags = _BIND | _REMOUNT | _NO_SUID | (held & 0x4 if device else _NO_DEVICES)
    _mount("none", target, "", flags | (held & (2 | 8 | 1024 | 4096 >> 2)) | (0 if device else 1))


def _drop_capabilities() -> None:
    header = struct.pack("Ii", 0x20080522, 0)
    number = {"x86_64": 126, "aarch64": 91}.get(platform.machine())
    if number:
        _libc.syscall(number, header, bytes(24))


def _landlock(folder: str) -> bool:
    """Forbid every file but the system's, to be read, and the folder's own."""
    version = _libc.syscall(444, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << min(13 + (version >= 2) + (version >= 3) + (version >= 5), 16)) - 1
    network, scope = 3 if version >= 4 else 0, 3 if version >= 6 else 0
    attributes = struct.pack("QQQ", rights, network, scope)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _libc.syscall(444, attributes, size, 0)
    if rules < 0:
        return False
    reading = 1 | 4 | 8  # execute, read a file, read a folder
    allowed = dict.fromkeys((*_SYSTEM, sys.base_prefix, sys.base_exec_prefix), reading)
    allowed |= dict.fromkeys(_DEVICES, 2 | 4)
    allowed |= dict.fromkeys((folder, "/tmp") if folder == "/work" else (folder,), rights)  # noqa: S108
    for place, access in allowed.items():
        with contextlib.suppress(OSError):
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(place):
                access &= 2 | 4 | 1
            rule = struct.pack("=Qi", access & rights, opened)
            _libc.syscall(445, rules, 1, rule, 0)
            os.close(opened)
    done = bool(_libc.syscall(446, rules, 0) == 0)
    os.close(rules)
    return done


_FORBIDDEN = {
    "x86_64": (
        0xC000003E,
        # ptrace, mount, umount2, pivot_root, chroot, unshare, setns, bpf, keyctl, add_key,
        # request_key, perf_event_open, process_vm_readv and _writev, io_uring_setup, userfaultfd,
        # open_by_handle_at, kexec_load, init_module, mount_setattr, open_tree, move_mount, fsopen;
        # fork, vfork, setsid, setpgid (who is in no group is not killed with it); shmget, semget,
        # msgget, mq_open (memory that no limit counts); socket (vsock belongs to no namespace),
        # name_to_handle_at, fanotify_init, finit_module, kexec_file_load, pidfd_open, _getfd,
        # memfd_secret
        (
            *(101, 165, 166, 155, 161, 272, 308, 321, 250, 248, 249, 298, 310, 311, 425, 323),
            *(304, 246, 175, 442, 428, 429, 430),
            *(57, 58, 112, 109, 29, 64, 68, 240, 41, 303, 300, 313, 320, 434, 438, 447),
        ),
        (42, 62, 200, 234, 424),  # connect, kill, tkill, tgkill, pidfd_send_signal
        (56, 157),  # clone, prctl
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(117, 40, 39, 41, 51, 97, 268, 280, 219, 217, 218, 241, 270, 271, 425, 282, 265),
            *(104, 105, 442, 428, 429, 430),
            *(157, 154, 194, 190, 186, 180, 198, 264, 262, 273, 294, 434, 438, 447),
        ),
        (203, 129, 130, 131, 424),
        (220, 167),
    ),
}
_THREAD = 0x10000
"""The flag with which `clone` makes a thread; without it, another process or a namespace."""


def _seccomp(*, without_network: bool) -> bool:
    """Forbid the calls of the system that code in a sandbox has no use for.

    Among them are other processes: each would have the limits of memory and time for itself, and
    one that leaves its group would live on.
    """
    if platform.machine() not in _FORBIDDEN:
        return False
    machine, always, network, (clone, prctl) = _FORBIDDEN[platform.machine()]
    numbers = always + (network if without_network else ())
    refuse, allow, kill = 0x00050001, 0x7FFF0000, 0x80000000  # EPERM; go on; end the process
    unknown = 0x00050000 | errno.ENOSYS  # of clone3 the flags cannot be read; clone is used instead
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), (6, 0, 0, kill), (0x20, 0, 0, 0)]
    steps += [(0x35, 0, 1, 0x40000000), (6, 0, 0, refuse)]  # x32, another numbering
    for number in numbers:
        steps += [(0x15, 0, 1, number), (6, 0, 0, refuse)]
    steps += [(0x15, 0, 1, 435), (6, 0, 0, unknown)]
    first_argument, end = (0x20, 0, 0, 16), [(6, 0, 0, refuse), (6, 0, 0, allow)]
    steps += [(0x15, 0, 4, clone), first_argument, (0x45, 1, 0, _THREAD), *end]
    steps += [(0x15, 0, 4, prctl), first_argument, (0x15, 0, 1, 1), *end]  # not to die with others
    steps += [(6, 0, 0, allow)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(program)
    filtered = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(buffer))
    return bool(_libc.prctl(22, 2, filtered, 0, 0) == 0)


def limit(seconds: int, megabytes: int, file_megabytes: int) -> None:
    """Limit time, memory, files and processes."""
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, megabytes * 2**20),
        (resource.RLIMIT_FSIZE, file_megabytes * 2**20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 64),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))

"""Run `segrt ARGUMENTS` where the kernel kills what opens an internet socket or starts another process.

    python tests/jail.py run --video clip.mp4 ...
    python tests/jail.py --control socket     # opens a socket: must be killed, or the jail holds nothing
    python tests/jail.py --control process    # starts a process, in which a socket could be opened unseen

A seccomp filter (Linux, x86-64 and Arm) looks at each system call, those of C libraries included.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

# Numbers of the system calls and of the architecture (linux/audit.h).
_CALLS = {
    "x86_64": {"socket": 41, "clone": 56, "fork": 57, "vfork": 58, "clone3": 435, "architecture": 0xC000003E},
    "aarch64": {"socket": 198, "clone": 220, "clone3": 435, "architecture": 0xC00000B7},
}
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_KILL, _ALLOW, _NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | 38
_CLONE_THREAD = 0x00010000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2


def lock() -> None:
    """From here on, this process and its threads cannot open an internet socket or start a process, and live."""
    calls = dict(_CALLS[platform.machine()])
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, calls.pop("architecture")), (_RETURN, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER)]
    steps += [(_EQUAL, 0, 1, calls["clone3"]), (_RETURN, 0, 0, _NO_SUCH_CALL)]  # glibc then takes clone
    for call in ("fork", "vfork"):
        if call in calls:
            steps += [(_EQUAL, 0, 1, calls[call]), (_RETURN, 0, 0, _KILL)]
    steps += [(_EQUAL, 0, 4, calls["clone"]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    steps += [(_ANY_BIT, 1, 0, _CLONE_THREAD), (_RETURN, 0, 0, _KILL), (_RETURN, 0, 0, _ALLOW)]
    steps += [(_EQUAL, 0, 4, calls["socket"]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    steps += [(_EQUAL, 1, 0, socket.AF_INET), (_EQUAL, 0, 1, socket.AF_INET6), (_RETURN, 0, 0, _KILL)]
    steps += [(_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter")


if __name__ == "__main__":
    lock()
    if sys.argv[1:] == ["--control", "socket"]:
        socket.socket(socket.AF_INET)
        sys.exit(0)
    if sys.argv[1:] == ["--control", "process"]:
        os.fork()
        os._exit(0)
    from segrt.cli import main

    sys.exit(main(sys.argv[1:]))

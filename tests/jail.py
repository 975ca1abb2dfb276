"""Run `segrt ARGUMENTS` in a process that the kernel kills at its first internet socket, C libraries included.

    python tests/jail.py run --video clip.mp4 ...
    python tests/jail.py --control        # opens a socket: must be killed, or the jail holds nothing

A seccomp filter (Linux, x86-64 and Arm) looks at each call of socket(2) and kills on AF_INET and AF_INET6.
"""

from __future__ import annotations

import ctypes
import platform
import socket
import struct
import sys

_SOCKET_CALL, _ARCHITECTURE = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}[platform.machine()]
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2


def lock() -> None:
    """From here on, this process and its threads and children cannot open an internet socket and live."""
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 0, 6, _ARCHITECTURE),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_EQUAL, 0, 4, _SOCKET_CALL),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_EQUAL, 1, 0, socket.AF_INET),
        (_JUMP_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter")


if __name__ == "__main__":
    lock()
    if sys.argv[1:] == ["--control"]:
        socket.socket(socket.AF_INET)
        sys.exit(0)
    from segrt.cli import main

    sys.exit(main(sys.argv[1:]))

"""Says what a process may do to another one: probe.py PID ADDRESS, or probe.py alone for a process of its own making.

It prints the name of each door that opens. The last line is "done"."""

import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same numbers on every architecture
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def opens(pid, name):
    try:
        os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
        return True
    except OSError:
        return False


def lists(pid, name):
    try:
        return os.listdir(f"/proc/{pid}/{name}") != []
    except OSError:
        return False


def traces(pid, request):
    if libc.ptrace(request, pid, None, None) != 0:
        return False
    if request == PTRACE_SEIZE:
        os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, 0x40000000)  # __WALL
    libc.ptrace(PTRACE_DETACH, pid, None, None)
    os.kill(pid, signal.SIGCONT)
    return True


def reads(pid, address):
    buffer = ctypes.create_string_buffer(8)
    here, there = Part(ctypes.addressof(buffer), 8), Part(address, 8)
    return libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == 8


def takes(pid):
    handle = libc.syscall(PIDFD_OPEN, pid, 0)
    return any(libc.syscall(PIDFD_GETFD, handle, fd, 0) >= 0 for fd in range(64))


def probe(pid, address):
    for name in ("mem", "environ", "maps", "smaps", "auxv", "stack", "io", "pagemap"):
        if opens(pid, name):
            print(name)
    for name in ("fd", "map_files", "fdinfo"):
        if lists(pid, name):
            print(name)
    for name, opened in (
        ("PTRACE_ATTACH", lambda: traces(pid, PTRACE_ATTACH)), ("PTRACE_SEIZE", lambda: traces(pid, PTRACE_SEIZE)),
        ("process_vm_readv", lambda: reads(pid, address)), ("pidfd_getfd", lambda: takes(pid)),
    ):
        if opened():
            print(name)
    print("done")


if len(sys.argv) > 1:
    probe(int(sys.argv[1]), int(sys.argv[2]))
else:
    known = ctypes.create_string_buffer(b"a secret")
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    probe(child, ctypes.addressof(known))
    os.kill(child, signal.SIGKILL)

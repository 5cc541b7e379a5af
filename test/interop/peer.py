"""The other side of these tests: memory as Python programs open and make it. peer.c tells the words."""

import ctypes
import mmap
import os
import sys
from multiprocessing import resource_tracker, shared_memory

PROJECT = 200
IPC_CREAT, IPC_EXCL = 0o1000, 0o2000

libc = ctypes.CDLL(None, use_errno=True)
libc.ftok.argtypes = [ctypes.c_char_p, ctypes.c_int]
libc.ftok.restype = ctypes.c_int
libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmat.restype = ctypes.c_void_p


def get_shm(name, new_size):
    if new_size:
        return shared_memory.SharedMemory(name, create=True, size=new_size)
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name, track=False)
    memory = shared_memory.SharedMemory(name)
    # Before 3.13 an object is tracked, and unlinked at exit, by whoever merely attached it.
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory


def get_file(path, new_size):
    fd = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if new_size else 0), 0o600)
    if new_size:
        os.truncate(fd, new_size)
    return mmap.mmap(fd, os.fstat(fd).st_size)


def get_fd(number, _new_size):
    fd = int(number)
    return mmap.mmap(fd, os.fstat(fd).st_size)


def get_sysv(path, new_size):
    key = libc.ftok(path.encode(), PROJECT)
    # Asking for a size of 0 finds a segment of any size; the tests make them of 10,000 bytes.
    segment = libc.shmget(key, new_size, (IPC_CREAT | IPC_EXCL | 0o600) if new_size else 0)
    address = libc.shmat(segment, None, 0) if segment >= 0 else None
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmget or shmat")
    return (ctypes.c_ubyte * (new_size or 10_000)).from_address(address)


def bytes_of(memory):
    return memory.buf if isinstance(memory, shared_memory.SharedMemory) else memory


def add(memory):
    view = bytes_of(memory)
    for i in range(len(view)):
        view[i] = (view[i] + 1) & 0xFF
    print(len(view))


def make(memory):
    view = bytes_of(memory)
    for i in range(len(view)):
        view[i] = i & 0xFF
    print("made", flush=True)
    sys.stdin.readline()
    for i in range(len(view)):
        if view[i] != (i + 1) & 0xFF:
            sys.exit(f"byte {i} is {view[i]}")
    if isinstance(memory, shared_memory.SharedMemory):
        memory.unlink()


def main(command, *words):
    if command == "ftok":
        print(libc.ftok(words[0].encode(), int(words[1])))
        return
    kind, where, size = (*words, 0)[:3]
    memory = {"shm": get_shm, "file": get_file, "fd": get_fd, "sysv": get_sysv}[kind](where, int(size))
    (make if command == "make" else add)(memory)


main(*sys.argv[1:])

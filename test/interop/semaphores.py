"""The other side of semaphores: as Python programs use them, by ctypes and by the module sysv_ipc. semaphores.c tells the words."""

import ctypes
import mmap
import os
import sys

try:  # Debian: python3-sysv-ipc, for /usr/bin/python3
    import sysv_ipc
    from sysv_ipc import BusyError as Busy
except ImportError:
    Busy = ()

PROJECT, PAGE, COUNTER = 200, 4096, 64
IPC_CREAT, IPC_EXCL, IPC_NOWAIT, SEM_UNDO = 0o1000, 0o2000, 0o4000, 0o10000
IPC_RMID, GETVAL = 0, 12

libc = ctypes.CDLL(None, use_errno=True)
libc.sem_open.restype = ctypes.c_void_p


class SemBuf(ctypes.Structure):
    _fields_ = [("num", ctypes.c_ushort), ("op", ctypes.c_short), ("flg", ctypes.c_short)]


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def mapped(name):
    with open(f"/dev/shm{name}", "r+b") as file:
        return mmap.mmap(file.fileno(), PAGE)


class Posix:
    def wait(self):
        checked(libc.sem_wait(self.address))

    def attempt(self):
        checked(libc.sem_trywait(self.address))

    def post(self):
        checked(libc.sem_post(self.address))

    def value(self):
        value = ctypes.c_int()
        checked(libc.sem_getvalue(self.address, ctypes.byref(value)))
        return value.value


class Named(Posix):
    def __init__(self, where, value):
        self.name = where.encode()
        flags = 0 if value is None else os.O_CREAT | os.O_EXCL
        address = libc.sem_open(self.name, flags, ctypes.c_uint(0o600), ctypes.c_uint(value or 0))
        if address is None:  # SEM_FAILED
            raise OSError(ctypes.get_errno(), "sem_open")
        self.address = ctypes.c_void_p(address)

    def remove(self):
        checked(libc.sem_unlink(self.name))


class Unnamed(Posix):
    def __init__(self, where, value):
        self.memory = mapped(where)
        self.address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self.memory)))
        if value is not None:
            checked(libc.sem_init(self.address, 1, ctypes.c_uint(value)))


class Set:
    def __init__(self, where, value):
        key = libc.ftok(where.encode(), PROJECT)
        new = value is not None
        self.id = checked(libc.semget(key, 1 if new else 0, IPC_CREAT | IPC_EXCL | 0o600 if new else 0))
        if value:
            self.operate(value)

    def operate(self, delta, flags=0):
        checked(libc.semop(self.id, ctypes.byref(SemBuf(op=delta, flg=flags)), ctypes.c_size_t(1)))

    def wait(self):
        self.operate(-1)

    def attempt(self):
        self.operate(-1, IPC_NOWAIT)

    def undo(self):
        self.operate(-1, SEM_UNDO)

    def post(self):
        self.operate(1)

    def value(self):
        return checked(libc.semctl(self.id, 0, GETVAL))

    def remove(self):
        checked(libc.semctl(self.id, 0, IPC_RMID))


class Module:
    """python3-sysv-ipc"""

    def __init__(self, where, value):
        key = sysv_ipc.ftok(where, PROJECT, silence_warning=True)
        new = value is not None
        self.semaphore = sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX if new else 0)
        if value:
            self.semaphore.release(value)  # so that it has been operated on: openers look for that

    def wait(self):
        self.semaphore.acquire()

    def attempt(self):
        self.semaphore.block = False
        try:
            self.semaphore.acquire()
        finally:
            self.semaphore.block = True

    def undo(self):
        self.semaphore.undo = True
        self.semaphore.acquire()
        self.semaphore.undo = False

    def post(self):
        self.semaphore.release()

    def value(self):
        return self.semaphore.value

    def remove(self):
        self.semaphore.remove()


def count(semaphore, times, name):
    counter = memoryview(mapped(name))[COUNTER:].cast("H")
    for i in range(times):
        semaphore.wait()
        before = counter[0]
        if i % 16 == 0:
            os.sched_yield()  # invites the others
        counter[0] = before + 1
        semaphore.post()


def obey(semaphore, command, words):
    if command == "count":
        return count(semaphore, int(words[0]), words[1])
    return getattr(semaphore, "attempt" if command == "try" else command)()


def main(kind, where, *shape):
    kinds = {"named": Named, "unnamed": Unnamed, "set": Set, "module": Module}
    semaphore = kinds[kind](where, int(shape[1]) if shape else None)
    print("open", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            result = obey(semaphore, command, words)
            print("done" if result is None else result, flush=True)
        except OSError as error:
            print("failed", error.errno, flush=True)
        except Busy:
            print("failed busy", flush=True)


main(*sys.argv[1:])

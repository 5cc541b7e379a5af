"""The other side of queues: as Python programs use them, by ctypes and by the module sysv_ipc. queues.c tells the words."""

import ctypes
import os
import sys

try:  # Debian: python3-sysv-ipc, for /usr/bin/python3
    import sysv_ipc
    from sysv_ipc import BusyError as Busy
except ImportError:
    Busy = ()

PROJECT = 200
MOST = 65536
IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_RMID, IPC_STAT = 0o1000, 0o2000, 0o4000, 0, 2

libc = ctypes.CDLL(None, use_errno=True)
if not hasattr(libc, "mq_open"):
    libc = ctypes.CDLL("librt.so.1", use_errno=True)  # glibc before 2.34


class MqAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("flags", "maxmsg", "msgsize", "curmsgs")] + [
        ("pad", ctypes.c_long * 4)
    ]


class Message(ctypes.Structure):
    _fields_ = [("type", ctypes.c_long), ("text", ctypes.c_ubyte * MOST)]


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


class PosixQueue:
    def __init__(self, where, shape):
        self.name = where.encode()
        if shape:
            attr = MqAttr(maxmsg=shape[0], msgsize=shape[1])
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            self.fd = checked(libc.mq_open(self.name, flags, ctypes.c_uint(0o600), ctypes.byref(attr)))
        else:
            self.fd = checked(libc.mq_open(self.name, os.O_RDWR))

    def send(self, priority, data):
        checked(libc.mq_send(self.fd, data, ctypes.c_size_t(len(data)), ctypes.c_uint(priority)))

    def receive(self, _wanted):
        priority = ctypes.c_uint()
        text = ctypes.create_string_buffer(MOST)
        libc.mq_receive.restype = ctypes.c_ssize_t
        length = checked(libc.mq_receive(self.fd, text, ctypes.c_size_t(MOST), ctypes.byref(priority)))
        return priority.value, text.raw[:length]

    def attributes(self):
        attr = MqAttr()
        checked(libc.mq_getattr(self.fd, ctypes.byref(attr)))
        return attr.maxmsg, attr.msgsize, attr.curmsgs

    def nonblock(self):
        checked(libc.mq_setattr(self.fd, ctypes.byref(MqAttr(flags=os.O_NONBLOCK)), None))

    def remove(self):
        checked(libc.mq_unlink(self.name))


class InheritedQueue(PosixQueue):
    def __init__(self, where, _shape):
        self.fd = int(where)


class SysvQueue:
    def __init__(self, where, shape):
        key = checked_key(where)
        self.id = checked(libc.msgget(key, IPC_CREAT | IPC_EXCL | 0o600 if shape else 0))
        self.flags = 0

    def send(self, kind, data):
        message = Message(type=kind)
        ctypes.memmove(message.text, data, len(data))
        checked(libc.msgsnd(self.id, ctypes.byref(message), ctypes.c_size_t(len(data)), self.flags))

    def receive(self, wanted):
        message = Message()
        libc.msgrcv.restype = ctypes.c_ssize_t
        length = checked(
            libc.msgrcv(
                self.id, ctypes.byref(message), ctypes.c_size_t(MOST), ctypes.c_long(wanted), self.flags
            )
        )
        return message.type, bytes(message.text[:length])

    def attributes(self):
        # struct msqid_ds of 64-bit Linux: 48 bytes of ipc_perm, three times, then these.
        status = (ctypes.c_ulong * 15)()
        checked(libc.msgctl(self.id, IPC_STAT, status))
        cbytes, qnum, qbytes = status[9:12]
        return qnum, cbytes, qbytes

    def nonblock(self):
        self.flags = IPC_NOWAIT

    def remove(self):
        checked(libc.msgctl(self.id, IPC_RMID, None))


class ModuleQueue:
    """python3-sysv-ipc"""

    def __init__(self, where, shape):
        self.queue = sysv_ipc.MessageQueue(
            sysv_ipc.ftok(where, PROJECT, silence_warning=True),
            sysv_ipc.IPC_CREX if shape else 0,
            max_message_size=MOST,
        )
        self.block = True

    def send(self, kind, data):
        self.queue.send(data, self.block, type=kind)

    def receive(self, wanted):
        data, kind = self.queue.receive(self.block, type=wanted)
        return kind, data

    def attributes(self):
        return self.queue.current_messages, "?", self.queue.max_size

    def nonblock(self):
        self.block = False

    def remove(self):
        self.queue.remove()


def checked_key(path):
    key = libc.ftok(path.encode(), PROJECT)
    if key == -1:
        raise OSError(ctypes.get_errno(), "ftok")
    return key


def obey(queue, command, words):
    if command == "send":
        number, *text = words
        queue.send(int(number), bytes.fromhex("".join(text)))
        return "sent"
    if command == "receive":
        number, data = queue.receive(int(words[0]))
        return f"{number} {data.hex()}"
    result = getattr(queue, command)()
    return "done" if result is None else " ".join(map(str, result))


def main(kind, where, *shape):
    kinds = {"posix": PosixQueue, "fd": InheritedQueue, "sysv": SysvQueue, "module": ModuleQueue}
    queue = kinds[kind](where, [int(number) for number in shape[1:]])
    print("open", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            print(obey(queue, command, words), flush=True)
        except OSError as error:
            print("failed", error.errno, flush=True)
        except Busy:
            print("failed busy", flush=True)


main(*sys.argv[1:])

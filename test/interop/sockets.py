"""The other side of UNIX sockets, by Python's socket module: sockets.py COMMAND TYPE WHERE"""

import os
import socket
import struct
import sys

TYPES = {
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "stream": socket.SOCK_STREAM,
}
ROOM = socket.CMSG_SPACE(16 * 4) + socket.CMSG_SPACE(struct.calcsize("3i"))


def address_of(where):
    return "\0" + where[1:] if where.startswith("@") else where


def say(*words):
    print(*words, flush=True)


def serve(kind, where):
    """Bound or listening; gives the socket to receive from."""
    bound = socket.socket(socket.AF_UNIX, TYPES[kind])
    bound.bind(address_of(where))
    if kind == "datagram":
        say("there")
        return bound
    bound.listen()
    say("there")
    return bound.accept()[0]


def reach(kind, where):
    connected = socket.socket(socket.AF_UNIX, TYPES[kind])
    if kind == "datagram":
        connected.bind("")  # a name, for answers
    connected.connect(address_of(where))
    return connected


def echo(sock, peer=None):
    """Gives back what comes, until the end or 'over'."""
    while True:
        data, address = sock.recvfrom(200_000)
        is_datagram = sock.type == socket.SOCK_DGRAM
        if data == b"over" or (data == b"" and not is_datagram):
            break
        sock.sendto(data, address) if address and is_datagram else sock.sendall(data)


def talk(sock):
    """Sends messages and expects them back."""
    for size in (1, 64, 5_000, 70_000):
        data = bytes(i & 0xFF for i in range(size))
        sock.sendall(data)
        got = b""
        while len(got) < size:
            got += sock.recv(200_000)
        if got != data:
            sys.exit(f"{size} bytes came back as {len(got)} others")
    if sock.type == socket.SOCK_DGRAM:
        sock.sendall(b"over")


def give(sock):
    """Three pipes' ends for writing; the readers must get what the other side writes to them."""
    pipes = [os.pipe() for _ in range(3)]
    socket.send_fds(sock, [b"take ", b"them"], [writer for _, writer in pipes])
    for _, writer in pipes:
        os.close(writer)
    for number, (reader, _) in enumerate(pipes):
        with open(reader) as file:
            if file.read() != f"pipe {number}":
                sys.exit(f"pipe {number} gave something else")


def take(sock):
    """Writes to each descriptor that comes its place in the message."""
    data, fds, flags, _ = socket.recv_fds(sock, 100, 32)  # room for credentials, too
    if flags & socket.MSG_CTRUNC:
        sys.exit("descriptors were cut")
    for number, fd in enumerate(fds):
        os.write(fd, f"{data.decode()} {number}".encode())
        os.close(fd)


def credentials(sock):
    """Prints who sent a message, and who is at the other end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    say("asked")
    _, ancillary, _, _ = sock.recvmsg(100, ROOM)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            say(*struct.unpack("3i", data))
    say(*struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def main(command, kind, where):
    way, _, what = command.partition("-")
    if way == "inherit":
        sock = socket.socket(fileno=int(where))
    else:
        sock = (serve if way == "serve" else reach)(kind, where)
    globals()[what](sock)


main(*sys.argv[1:])

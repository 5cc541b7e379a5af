/** Servers of seqpacket sockets. man 7 unix */
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import type { SocketAddressLike } from './address.js';
import { unlinkSocket } from './naming.js';
import type { ListenOptions, ReceiveSettings } from './options.js';
import { seqpacketOf, type UnixSeqpacket } from './unix-seqpacket.js';
import { listenAt, type ServerSetup, serverFromFd, UnixServer } from './unix-server.js';

/** What accepts the connections of `UnixSeqpacket`. man 7 unix. docs/sockets.md */
export class UnixSeqpacketServer extends UnixServer<UnixSeqpacket> {
  /** @internal Use the factories. */
  constructor(key: symbol, setup: ServerSetup) {
    checkConstruct(key, 'UnixSeqpacketServer');
    super('seqpacket', setup, seqpacketOf);
  }

  /**
   * Listens at a path, whose file has the mode 0o600 unless another is given and goes when the server closes; or at an
   * abstract name, which every process of the network namespace may connect to.
   *
   * @throws `EADDRINUSE`, also for the file that a dead server has left: see `replaceStale`; `ENAMETOOLONG` for a path
   *   above 107 bytes; `ENOENT`, `EACCES`, `EROFS`; `EMFILE`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
   *   `ERR_OUT_OF_RANGE`.
   */
  static listen(address: SocketAddressLike, options?: ListenOptions): UnixSeqpacketServer {
    return new UnixSeqpacketServer(construct, listenAt('seqpacket', address, options));
  }

  /**
   * A socket from elsewhere that listens already, as systemd hands it over; the descriptor is duplicated.
   *
   * @throws `EINVAL` where it does not listen; `ENOTSOCK`; `EAFNOSUPPORT`; `EPROTOTYPE`; `EBADF`.
   */
  static fromFd(fd: number, options?: ReceiveSettings): UnixSeqpacketServer {
    return new UnixSeqpacketServer(construct, serverFromFd('seqpacket', fd, options));
  }

  /** Removes a socket's file. Throws `ENOENT`, `EACCES`; `EINVAL` for what is no socket. */
  static unlink(path: SocketAddressLike): void {
    unlinkSocket(path);
  }
}

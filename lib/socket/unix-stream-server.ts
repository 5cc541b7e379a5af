/** Servers of stream sockets. man 7 unix */
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import type { SocketAddressLike } from './address.js';
import { unlinkSocket } from './naming.js';
import type { ListenOptions, ReceiveSettings } from './options.js';
import { listenAt, type ServerSetup, serverFromFd, UnixServer } from './unix-server.js';
import { streamOf, type UnixStream } from './unix-stream.js';

/** What accepts the connections of `UnixStream`. man 7 unix. docs/sockets.md */
export class UnixStreamServer extends UnixServer<UnixStream> {
  /** @internal Use the factories. */
  constructor(key: symbol, setup: ServerSetup) {
    checkConstruct(key, 'UnixStreamServer');
    super('stream', setup, streamOf);
  }

  /**
   * Listens at a path, whose file has the mode 0o600 unless another is given and goes when the server closes; or at an
   * abstract name, which every process of the network namespace may connect to.
   *
   * @throws `EADDRINUSE`, also for the file that a dead server has left: see `replaceStale`; `ENAMETOOLONG` for a path
   *   above 107 bytes; `ENOENT`, `EACCES`, `EROFS`; `EMFILE`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
   *   `ERR_OUT_OF_RANGE`.
   */
  static listen(address: SocketAddressLike, options?: ListenOptions): UnixStreamServer {
    return new UnixStreamServer(construct, listenAt('stream', address, options));
  }

  /**
   * A socket from elsewhere that listens already, as systemd hands it over; the descriptor is duplicated.
   *
   * @throws `EINVAL` where it does not listen; `ENOTSOCK`; `EAFNOSUPPORT`; `EPROTOTYPE`; `EBADF`.
   */
  static fromFd(fd: number, options?: ReceiveSettings): UnixStreamServer {
    return new UnixStreamServer(construct, serverFromFd('stream', fd, options));
  }

  /** Removes a socket's file. Throws `ENOENT`, `EACCES`; `EINVAL` for what is no socket. */
  static unlink(path: SocketAddressLike): void {
    unlinkSocket(path);
  }
}

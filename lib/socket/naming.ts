/** Giving sockets their names: files, and abstract ones. */
import { type NativeDescriptor, type NativeSocketFile, native } from '../internal/native.js';
import { checkAddress, isAbstract, type SocketAddressLike } from './address.js';
import { type BindOptions, checkBind } from './options.js';

export interface SocketFile {
  path: Uint8Array;
  identity: NativeSocketFile;
}

const ofTheKernelsChoice = new Uint8Array(0);

/** Binds it; returns its file, if it has one. */
export function bindSocket(
  descriptor: NativeDescriptor,
  address: Uint8Array | undefined,
  options: BindOptions | undefined,
): SocketFile | undefined {
  const { replaceStale, access } = checkBind(options);
  if (address === undefined || isAbstract(address)) {
    native.socketBind(descriptor, address ?? ofTheKernelsChoice);
    return undefined;
  }
  return { path: address, identity: native.socketBindFile(descriptor, address, replaceStale, ...access) };
}

export function unlinkSocket(path: SocketAddressLike): void {
  native.socketUnlink(checkAddress(path, 'unlink'), undefined);
}

/** Removes the file, if it is still this one: a successor's stays. What can't be removed stays, too. */
export function unlinkFile({ path, identity }: SocketFile): void {
  try {
    native.socketUnlink(path, identity);
  } catch {
    // Closing doesn't fail for that, and the next server can replace it.
  }
}

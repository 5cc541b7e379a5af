/**
 * The only loader of the addon, and its typed interface. What the functions do is said beside their
 * implementation in native/node. Importing never fails: where there is no addon, the first use throws.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IpcError } from '../errors.js';
import type { NativeLocks } from './native-locks.js';
import type { NativeQueues } from './native-queues.js';
import type { NativeSemaphores } from './native-semaphores.js';
import { runtimeName } from './runtime.js';
import { systemError } from './system-error.js';

declare const brand: unique symbol;
/** An open object that can be mapped (native/node/memory_file.cc). */
export interface NativeFile {
  readonly [brand]: 'file';
}
/** A mapped range of addresses (native/node/mapping.cc). */
export interface NativeMapping {
  readonly [brand]: 'mapping';
}

/** One end of a pipe, a socket, or what came over one (native/node/descriptor.cc). */
export interface NativeDescriptor {
  readonly [brand]: 'descriptor';
}

/** How this env takes part in a segment (native/node/participant.cc). */
export interface NativeParticipant {
  readonly [brand]: 'participant';
}
/** Being the sender or the receiver (native/node/participant.cc). */
export interface NativeRole {
  readonly [brand]: 'role';
}

export interface NativeParticipantInfo {
  id: number;
  pid: number;
  thread: number;
  /** Inode of its /proc/self/ns/pid. */
  pidNamespace: number;
  isPidOurs: boolean;
  startedMs: number;
  sinceMs: number;
  readOnly: boolean;
}

/** Offsets in bytes, sizes and values of native/include/interproc.h. */
export interface SegmentLayout {
  readonly state: number;
  readonly magic: number;
  readonly version: number;
  readonly kind: number;
  readonly capacity: number;
  readonly flags: number;
  readonly created: number;
  readonly tail: number;
  readonly counts: number;
  readonly timesFull: number;
  readonly senderSlept: number;
  readonly done: number;
  readonly begun: number;
  readonly received: number;
  readonly receiverSlept: number;
  readonly head: number;
  readonly senderRole: number;
  readonly receiverRole: number;
  readonly senderSleep: number;
  readonly receiverSleep: number;
  readonly senderBell: number;
  readonly receiverBell: number;
  readonly countSize: number;
  readonly countMessages: number;
  readonly countBytes: number;
  readonly ring: number;
  readonly magicValue: number;
  readonly versionValue: number;
  readonly kindValue: number;
  readonly capacityMin: number;
  readonly capacityMax: number;
  readonly participantsMax: number;
  readonly recordHeader: number;
  readonly recordPad: number;
  readonly batchMessages: number;
  readonly batchBytes: number;
  readonly ready: number;
  readonly persist: number;
  readonly roleClosed: number;
  readonly ownerMask: number;
  readonly awake: number;
  readonly starved: number;
  readonly asleep: number;
}

export interface NativeFileStat {
  size: number;
  allocated: number;
  mode: number;
  uid: number;
  gid: number;
  ino: number;
  nlink: number;
  mtimeMs: number;
  ctimeMs: number;
}

export interface NativeSysvFacts {
  id: number;
  /** 0: private. */
  key: number;
  mode: number;
  uid: number;
  gid: number;
  creatorUid: number;
  creatorGid: number;
}

export interface NativeSysvShmStat extends NativeSysvFacts {
  size: number;
  creatorPid: number;
  lastPid: number;
  attached: number;
  attachedAtMs: number;
  detachedAtMs: number;
  changedAtMs: number;
  removed: boolean;
  locked: boolean;
}

/** mode, uid, gid */
export type NativeAccess = [mode: number, uid: number | undefined, gid: number | undefined];

/** What such a call may change. */
export type NativeSysvChange = [mode: number | undefined, uid: number | undefined, gid: number | undefined];

/** What tells a socket's file from another one of its name. */
export type NativeSocketFile = readonly [device: bigint, inode: bigint];

export interface Native extends NativeLocks, NativeQueues, NativeSemaphores {
  setErrorFactory(
    make: (errno: number, syscall: string, path: string | undefined, text: string) => Error,
  ): void;

  posixShmCreate(name: string, size: number, reserve: boolean, ...access: NativeAccess): NativeFile;
  posixShmOpen(name: string, readOnly: boolean): NativeFile;
  posixShmStat(name: string): NativeFileStat;
  posixShmUnlink(name: string): void;
  posixShmList(): string[];
  posixShmPath(name: string): string;

  memfdCreate(label: string, size: number, reserve: boolean, ...access: NativeAccess): NativeFile;
  readonly seals: Readonly<Record<string, number>>;

  mappedFileCreate(path: string, size: number, reserve: boolean, ...access: NativeAccess): NativeFile;
  mappedFileOpen(path: string, readOnly: boolean): NativeFile;
  mappedFileStat(path: string): NativeFileStat;
  mappedFileUnlink(path: string): void;

  fileFromFd(fd: number, readOnly: boolean): NativeFile;
  fileDescriptor(file: NativeFile): number;
  fileReadOnly(file: NativeFile): boolean;
  fileStat(file: NativeFile): NativeFileStat;
  fileResize(file: NativeFile, size: number, reserve: boolean, path: string): void;
  fileLinkedAt(file: NativeFile, path: string): boolean;
  fileSeals(file: NativeFile): number | undefined;
  fileAddSeals(file: NativeFile, mask: number, path: string): void;
  fileClose(file: NativeFile): void;

  sysvShmGet(key: number, size: number, create: boolean, ...access: NativeAccess): number;
  sysvShmStat(id: number): NativeSysvShmStat;
  sysvShmSet(id: number, ...change: NativeSysvChange): void;
  sysvShmRemove(id: number): void;
  sysvShmLock(id: number, locked: boolean): void;
  sysvShmList(): NativeSysvShmStat[];
  ftok(path: string, projectId: number): number;

  mapFile(file: NativeFile, offset: number, length: number, path: string): NativeMapping;
  mapSysv(id: number, readOnly: boolean): NativeMapping;
  mappingAgain(mapping: NativeMapping, path: string): NativeMapping;
  mappingPart(mapping: NativeMapping, offset: number, length: number, path: string): NativeMapping;
  mappingLength(mapping: NativeMapping): number;
  mappingBuffer(mapping: NativeMapping, shared: boolean): ArrayBufferLike;
  mappingFault(mapping: NativeMapping): number;
  mappingClose(mapping: NativeMapping): void;
  mappingSync(mapping: NativeMapping, offset: number, length: number, path: string): Promise<void>;
  mappingSyncSync(mapping: NativeMapping, offset: number, length: number, path: string): void;
  mappingLock(mapping: NativeMapping, offset: number, length: number, path: string, onFault: boolean): void;
  mappingUnlock(mapping: NativeMapping, offset: number, length: number, path: string): void;
  mappingAdvise(mapping: NativeMapping, offset: number, length: number, path: string, advice: number): void;
  mappingRefresh(mapping: NativeMapping, path: string): void;
  keepFaultGuard(): void;
  readonly advices: Readonly<Record<string, number>>;
  readonly hasExternalSharedArrayBuffer: boolean;

  futexInit(onOver: (ids: number[]) => void): void;
  futexAdd(mapping: NativeMapping, offset: number, expected: number, id: number): boolean;
  futexWatch(mapping: NativeMapping, offset: number, id: number): void;
  futexCancel(id: number): boolean;
  futexKeep(kept: boolean): void;
  futexSleep(mapping: NativeMapping, offset: number, expected: number, nanoseconds: number): number;
  /** False where others kept it for so long that whoever looks on awake had better sleep. */
  yieldProcessor(): boolean;
  futexWake(mapping: NativeMapping, offset: number, count: number): number;

  segmentCreate(
    path: string,
    label: string,
    capacity: number,
    persist: boolean,
    ...access: NativeAccess
  ): NativeParticipant;
  segmentCreateAnonymous(capacity: number, persist: boolean, ...access: NativeAccess): NativeParticipant;
  /** `again`: who calls tries again soon where the segment's gate can't be had. */
  segmentJoin(file: NativeFile, path: string, again: boolean): NativeParticipant;
  /** With a file: only if the path leads to it. */
  segmentUnlink(path: string, label: string, file: NativeFile | undefined): void;
  readonly segmentLayout: SegmentLayout;
  participantFile(participant: NativeParticipant): NativeFile;
  participantId(participant: NativeParticipant): number;
  participantCapacity(participant: NativeParticipant): number;
  participantAlive(participant: NativeParticipant, owner: number): boolean;
  participantList(participant: NativeParticipant): NativeParticipantInfo[];
  participantPublished(participant: NativeParticipant): [messages: number, bytes: number, tail: number];
  participantLeave(participant: NativeParticipant): void;
  roleTake(participant: NativeParticipant, side: 0 | 1): NativeRole;
  roleStart(participant: NativeParticipant, side: 0 | 1): number[];
  roleLeave(role: NativeRole, closed: boolean): void;
  deathInit(onDeaths: (ids: number[]) => void): void;
  deathWatch(participant: NativeParticipant, owner: number, id: number): void;
  deathUnwatch(id: number): void;
  failpoint(name: string): void;

  /** `onEvents(count)`: so many pairs of id and events (bits of `PollEvents`) lie in `events`. */
  pollInit(events: Uint32Array, onEvents: (count: number) => void, ownThread: boolean): void;
  pollKeep(kept: boolean): void;

  descriptorFd(descriptor: NativeDescriptor): number;
  descriptorClose(descriptor: NativeDescriptor): void;
  descriptorDuplicate(fd: number): NativeDescriptor;
  descriptorDetach(descriptor: NativeDescriptor): number;
  /** These move bytes and never sleep: -1 where they would, also at so many further `looks`. */
  descriptorRead(descriptor: NativeDescriptor, into: Uint8Array, length: number, looks: number): number;
  descriptorWrite(descriptor: NativeDescriptor, data: Uint8Array, offset: number, looks: number): number;
  descriptorWritev(
    descriptor: NativeDescriptor,
    list: readonly Uint8Array[],
    offset: number,
    looks: number,
  ): number;
  descriptorWait(descriptor: NativeDescriptor, events: number, nanoseconds: number): boolean;
  /** `again`: also where these are the events already, so that what is there now is told of. */
  descriptorWatch(descriptor: NativeDescriptor, id: number, events: number, again: boolean): void;

  callInit(onOver: (ids: number[]) => void): void;
  callKeep(kept: boolean): void;
  callCancel(id: number): void;
  callWait(id: number, nanoseconds: number): void;
  /** Undefined while it runs. */
  callTake(id: number, path: string): unknown;

  pipeCreate(packet: boolean): [reader: NativeDescriptor, writer: NativeDescriptor];
  pipeFromFd(fd: number, writes: boolean, packet: boolean): NativeDescriptor;
  pipeCapacity(pipe: NativeDescriptor): number;
  pipeSetCapacity(pipe: NativeDescriptor, bytes: number): number;
  pipeBytes(pipe: NativeDescriptor): number;
  pipeTee(from: NativeDescriptor, to: NativeDescriptor, length: number): number;
  pipeTeeStart(id: number, from: NativeDescriptor, to: NativeDescriptor, length: number): void;
  pipeSplice(pipe: NativeDescriptor, fd: number, length: number): number;
  pipeSpliceStart(id: number, pipe: NativeDescriptor, fd: number, length: number): void;

  fifoCreate(path: string, ...access: NativeAccess): void;
  fifoUnlink(path: string): void;
  fifoTryOpen(path: string, writes: boolean, both: boolean): NativeDescriptor | null;
  fifoOpenStart(id: number, path: string, writes: boolean, both: boolean): void;

  socketInit(facts: Int32Array, address: Uint8Array): void;
  socketCreate(type: number): NativeDescriptor;
  socketPair(type: number): [NativeDescriptor, NativeDescriptor];
  socketFromFd(fd: number, type: number): NativeDescriptor;
  socketBind(socket: NativeDescriptor, address: Uint8Array): void;
  socketBindFile(
    socket: NativeDescriptor,
    path: Uint8Array,
    replaceStale: boolean,
    ...access: NativeAccess
  ): NativeSocketFile;
  socketUnlink(path: Uint8Array, file: NativeSocketFile | undefined): void;
  socketListen(socket: NativeDescriptor, backlog: number): void;
  socketTryConnect(socket: NativeDescriptor, address: Uint8Array): boolean;
  socketConnectStart(id: number, socket: NativeDescriptor, address: Uint8Array): void;
  socketTryAccept(socket: NativeDescriptor): NativeDescriptor | null;
  socketEnd(socket: NativeDescriptor): void;
  socketName(socket: NativeDescriptor, ofPeer: boolean): Buffer;
  socketPeerCredentials(
    socket: NativeDescriptor,
  ): readonly [pid: number, uid: number, gid: number] | undefined;
  socketOption(socket: NativeDescriptor, option: number): number;
  socketSetOption(socket: NativeDescriptor, option: number, value: number): void;
  socketIsFull(socket: NativeDescriptor): boolean;
  socketSend(
    socket: NativeDescriptor,
    data: Uint8Array,
    offset: number,
    looks: number,
    fds: readonly number[] | undefined,
    address: Uint8Array | undefined,
  ): number;
  socketReceive(
    socket: NativeDescriptor,
    type: number,
    into: Uint8Array,
    length: number,
    more: Uint8Array | undefined,
    fdsMax: number,
    looks: number,
  ): number | [length: number, ...fds: NativeDescriptor[]];
  readonly socketConstants: Readonly<
    Record<
      'stream' | 'datagram' | 'seqpacket' | 'sendBuffer' | 'receiveBuffer' | 'passCredentials' | 'listens',
      number
    >
  >;

  resourceLimit(resource: number): number;
  readonly resources: Readonly<Record<'memlock' | 'nofile' | 'fsize' | 'as' | 'msgqueue', number>>;

  has(feature: KernelFeature): boolean;
  hasAdvice(advice: number | undefined): boolean;
  hasSeal(seal: number | undefined): boolean;
  hasExternalBuffers(): boolean;
}

/** What a kernel may lack (native/node/features.cc). */
export type KernelFeature =
  | 'futexWaitv'
  | 'memfd'
  | 'mqNotify'
  | 'ownerLocks'
  | 'pidfd'
  | 'posixMq'
  | 'posixShm'
  | 'sysvMq'
  | 'sysvMqCopy'
  | 'sysvSem'
  | 'sysvShm'
  | 'unixSocket';

// From dist/internal/ and, as published, from dist/bundle/.
const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

function load(): Native {
  if (process.platform !== 'linux') {
    throw new IpcError(
      'ERR_INTERPROC_UNSUPPORTED_PLATFORM',
      `interproc works on Linux only, and this is ${process.platform}; test \`isSupported\` before use`,
    );
  }
  const find = createRequire(import.meta.url)('node-gyp-build');
  try {
    return find(packageRoot);
  } catch (cause) {
    const sources = join(packageRoot, 'native');
    try {
      return find(sources); // built there by the command below
    } catch {
      throw new IpcError(
        'ERR_INTERPROC_LOAD',
        `interproc found no binary that loads here (linux-${process.arch}, ` +
          `${runtimeName()}). With python3, make and g++ at hand, one command builds it ` +
          `from source: npx node-gyp rebuild --directory "${sources}"`,
        { cause },
      );
    }
  }
}

/** Stands in for an addon that is not there: every use throws the reason. */
function absent(reason: unknown): Native {
  const fail = (): never => {
    throw reason;
  };
  return new Proxy({} as Native, { get: fail });
}

let loaded: Native | undefined;
let reason: unknown;
try {
  loaded = load();
  // V8 keeps so many properties in a table, which takes longer to look in, unless the object is a prototype.
  Object.create(loaded);
  loaded.setErrorFactory((errno, syscall, path, text) =>
    systemError(loaded as Native, errno, syscall, path, text),
  );
} catch (error) {
  reason = error;
}

/** Throws the reason where there is no addon. */
export function checkLoaded(): void {
  if (loaded === undefined) throw reason;
}

export const isLoaded: boolean = loaded !== undefined;
export const native: Native = loaded ?? absent(reason);

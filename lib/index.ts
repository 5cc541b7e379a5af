// Kept in the declarations: a compiler that adds no types by itself (TypeScript 6 and later) has those of Node then.
/// <reference types="node" preserve="true" />
export { Channel, type ChannelListEntry } from './channel/channel.js';
export type { ChannelParticipant, ChannelStats } from './channel/insight.js';
export type { Message } from './channel/message.js';
export type { DrainHandler, Receiver } from './channel/receiver.js';
export type { ChannelCreateOptions, ChannelOpenOptions } from './channel/segment.js';
export type { MessageData, Sender } from './channel/sender.js';
export type { SideOptions } from './channel/side.js';
export type { Slot } from './channel/slot.js';
export type { ChannelTarget } from './channel/target.js';
export type { PeerState } from './channel/wait-line.js';
export { IpcError, type IpcErrorCode, type IpcErrorDetails } from './errors.js';
export { type Features, features, isSupported } from './features.js';
export type { Advice } from './memory/advice.js';
export type { Seal } from './memory/file-memory.js';
export { ftok, type Key } from './memory/ftok.js';
export { MappedFile } from './memory/mapped-file.js';
export type { BufferOf, MappedRegion, RangeOptions } from './memory/mapped-region.js';
export type { MemoryWindow, WindowOptions } from './memory/memory-window.js';
export type { AccessOptions, CreateOptions, MemoryStat, OpenOptions } from './memory/options.js';
export {
  SharedMemory,
  type SharedMemoryAnonymousOptions,
  type SharedMemoryListEntry,
} from './memory/shared-memory.js';
export {
  SysvSharedMemory,
  type SysvSharedMemoryCreateOptions,
  type SysvSharedMemoryStat,
} from './memory/sysv-shared-memory.js';
export { type CreatePipeOptions, createPipe } from './pipe/create-pipe.js';
export { Fifo, type FifoOpenOptions } from './pipe/fifo.js';
export type { HasFd, PipeEnd } from './pipe/pipe-end.js';
export { type PipeFromFdOptions, PipeReader, type ReadOptions } from './pipe/pipe-reader.js';
export { PipeWriter } from './pipe/pipe-writer.js';
export {
  MessageQueue,
  type MessageQueueAttributes,
  type PriorityMessage,
} from './queue/message-queue.js';
export type { MessageQueueListEntry } from './queue/mounted.js';
export type { NotificationOptions } from './queue/notices.js';
export type {
  MessageQueueCreateOptions,
  MessageQueueOpenOptions,
  PriorityOptions,
} from './queue/options.js';
export type { MessageQueueStat } from './queue/stat.js';
export type { SysvMessage, SysvReceiveOptions, SysvTypeOptions } from './queue/sysv-message.js';
export {
  SysvMessageQueue,
  type SysvMessageQueueOptions,
  type SysvMessageQueueStat,
} from './queue/sysv-message-queue.js';
export type { SemaphoreListEntry } from './semaphore/list.js';
export type { SemaphoreOperation } from './semaphore/operations.js';
export type { Permit } from './semaphore/permit.js';
export {
  Semaphore,
  type SemaphoreAtOptions,
  type SemaphoreCreateOptions,
  type SharedRegion,
} from './semaphore/semaphore.js';
export {
  SysvSemaphoreSet,
  type SysvSemaphoreSetCreateOptions,
  type SysvSemaphoreSetStat,
} from './semaphore/sysv-semaphore-set.js';
export type { SocketAddress, SocketAddressLike } from './socket/address.js';
export type { Credentials, SocketMessage } from './socket/message.js';
export type { BindOptions, ListenOptions, ReceiveSettings, SendOptions } from './socket/options.js';
export type { ReceivedFd } from './socket/received-fd.js';
export { type SocketOfType, socketPair } from './socket/socket-pair.js';
export { type ReceiveIntoOptions, UnixDatagram } from './socket/unix-datagram.js';
export { UnixSeqpacket } from './socket/unix-seqpacket.js';
export { UnixSeqpacketServer } from './socket/unix-seqpacket-server.js';
export type { SocketType } from './socket/unix-socket.js';
export { UnixStream } from './socket/unix-stream.js';
export { UnixStreamServer } from './socket/unix-stream-server.js';
export { Barrier, type BarrierOptions } from './sync/barrier.js';
export { Condition } from './sync/condition.js';
export type { LockGuard } from './sync/guard.js';
export type { LockOptions } from './sync/lock-memory.js';
export type { LockHolder } from './sync/lock-word.js';
export { Mutex, type MutexGuard } from './sync/mutex.js';
export { Once, type OnceState } from './sync/once.js';
export { type ReadGuard, RwLock, type WriteGuard } from './sync/rw-lock.js';
export { SharedEvent, type SharedEventOptions } from './sync/shared-event.js';
export { type SyncWaitOptions, type WaitOptions, waitOn, waitOnSync, wake } from './sync/wait-on.js';

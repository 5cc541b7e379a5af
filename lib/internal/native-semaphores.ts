/** Semaphores, as the addon has them (native/node/posix_sem.cc, sysv_sem.cc). */
import type {
  NativeAccess,
  NativeFile,
  NativeFileStat,
  NativeMapping,
  NativeSysvChange,
  NativeSysvFacts,
} from './native.js';

export interface NativeSysvSemStat extends NativeSysvFacts {
  count: number;
  operatedAtMs: number;
  changedAtMs: number;
}

export interface NativeSemaphores {
  posixSemCreate(name: string, value: number, ...access: NativeAccess): NativeFile;
  posixSemOpen(name: string): NativeFile;
  posixSemInit(mapping: NativeMapping, offset: number, value: number): void;
  /** While there is no permit, at most so long. Counts in `waiters`, whatever becomes of its worker meanwhile. */
  posixSemSleep(mapping: NativeMapping, nanoseconds: number): void;
  /** Gives 1 when a permit was taken, 0 where the memory is gone. REQUIRES a mapping that is for these calls alone. */
  posixSemAcquireStart(call: number, mapping: NativeMapping): void;
  posixSemStat(name: string): NativeFileStat;
  posixSemValue(name: string): number;
  posixSemUnlink(name: string): void;
  posixSemPath(name: string): string;
  posixSemList(): string[];
  readonly posixSemSize: number;
  /** Offsets in bytes of the words. */
  readonly posixSemWords: Readonly<Record<'value' | 'waiters' | 'private', number>>;

  /** `values`: of 16 bits each. */
  sysvSemCreate(key: number, values: Uint8Array, ...access: NativeAccess): number;
  sysvSemOpen(key: number): number;
  sysvSemIsReady(id: number): boolean;
  sysvSemStat(id: number): NativeSysvSemStat;
  sysvSemSet(id: number, ...change: NativeSysvChange): void;
  sysvSemRemove(id: number): void;
  sysvSemList(): NativeSysvSemStat[];
  sysvSemValues(id: number): number[];
  sysvSemSetValues(id: number, values: Uint8Array): void;
  sysvSemSetValue(id: number, index: number, value: number): void;
  /** `fact`: 0 the value, 1 the last pid, 2 how many wait for an increase, 3 for zero. */
  sysvSemAsk(id: number, index: number, fact: 0 | 1 | 2 | 3): number;
  /** `operations`: index, delta and flags (1 undo, 2 no wait) of each, of 16 bits each. */
  sysvSemOperate(id: number, operations: Uint8Array, looks?: number, nanoseconds?: number): boolean;
  /** Gives true. */
  sysvSemOperateStart(call: number, id: number, operations: Uint8Array): void;
}

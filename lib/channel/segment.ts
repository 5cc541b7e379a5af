/**
 * Segments as handles come by them: made, opened by a target or a descriptor, and looked at first, since they may be
 * anybody's.
 */
import { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkBoolean, checkInteger, checkOptions } from '../internal/arguments.js';
import { type NativeFile, type NativeParticipant, native } from '../internal/native.js';
import { spaceHint } from '../internal/space.js';
import { explained } from '../internal/system-error.js';
import { checkTimeout, type SyncWaitOptions } from '../internal/waiting.js';
import { layout } from './layout.js';
import { type ChannelTarget, checkCapacity, checkTarget, openTarget, type Target } from './target.js';

/** How a channel is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface ChannelCreateOptions extends AccessOptions {
  /** Bytes of the ring, rounded up to a power of two: 64 to 2^30. A message may have half of it, less 8. */
  capacity: number;
  /** The name outlives the last participant. False by default: the last one to leave removes it. */
  persist?: boolean;
}

/** How a channel that exists is opened. */
export interface ChannelOpenOptions {
  /** What it is expected to be; `ERR_INTERPROC_MISMATCH` where it is another. */
  capacity?: number;
  /** For looking only: `stats()` and `participants()`. False by default. */
  readOnly?: boolean;
}

const maxFd = 0x7fff_ffff;
const notThere = new Set(['ENOENT', 'ERR_INTERPROC_UNLINKED']);

/** A segment that this env takes part in. */
export interface Segment {
  readonly participant: NativeParticipant;
  /** Undefined where it came without a name. */
  readonly target: Target | undefined;
  readonly created: boolean;
}

export interface Opening {
  target: Target;
  capacity: number | undefined;
  readOnly: boolean;
  /** Who calls tries again soon where another process is joining or leaving it. */
  again?: boolean;
}

function checkExpected(options: ChannelOpenOptions | undefined) {
  const given = checkOptions(options);
  return {
    capacity: given.capacity === undefined ? undefined : checkCapacity(given),
    readOnly: checkBoolean(given.readOnly, 'options.readOnly', false),
  };
}

export function checkOpening(
  target: ChannelTarget,
  options: (ChannelOpenOptions & SyncWaitOptions) | undefined,
): Opening {
  checkTimeout(options);
  return { target: checkTarget(target), ...checkExpected(options) };
}

export function createSegment(target: ChannelTarget, options: ChannelCreateOptions): Segment {
  const checked = checkTarget(target);
  const capacity = checkCapacity(options);
  const persist = checkBoolean(options.persist, 'options.persist', false);
  const access = checkAccess(options);
  const participant = explained(
    () => native.segmentCreate(checked.path, checked.object, capacity, persist, ...access),
    spaceHint(checked.path),
  );
  return { participant, target: checked, created: true };
}

export function createAnonymousSegment(options: Omit<ChannelCreateOptions, 'persist'>): Segment {
  const capacity = checkCapacity(options);
  const participant = native.segmentCreateAnonymous(capacity, false, ...checkAccess(options));
  return { participant, target: undefined, created: true };
}

/** Null where there is none, or its maker is not done with it. */
export function tryOpenSegment(opening: Opening): Segment | null {
  try {
    const file = openTarget(opening.target, opening.readOnly);
    try {
      return isReady(file) ? join(file, opening) : null;
    } finally {
      native.fileClose(file); // the participant has its own reference
    }
  } catch (error) {
    if (notThere.has((error as { code: string }).code)) return null;
    throw error;
  }
}

export function segmentFromFd(fd: number, options: ChannelOpenOptions | undefined): Segment {
  const checked = checkInteger(fd, 'fd', 0, maxFd);
  const expected = checkExpected(options);
  const file = native.fileFromFd(checked, expected.readOnly);
  try {
    return join(file, { target: undefined, ...expected });
  } finally {
    native.fileClose(file);
  }
}

type Joining = Pick<Opening, 'capacity' | 'again'> & Pick<Segment, 'target'>;

function join(file: NativeFile, { target, capacity: expected, again = false }: Joining): Segment {
  const label = target?.label ?? '';
  checkSegment(file, label);
  const participant = native.segmentJoin(file, target?.path ?? '', again);
  const capacity = native.participantCapacity(participant);
  if (expected === undefined || expected === capacity) return { participant, target, created: false };
  native.participantLeave(participant);
  throw mismatch(label, 'capacity', expected, capacity);
}

/** The first words of a segment; undefined where it is too short to have any. */
function headerOf(file: NativeFile, label: string): Int32Array | undefined {
  const { size } = native.fileStat(file);
  if (size < layout.ring) return undefined;
  const mapping = native.mapFile(file, 0, layout.ring, label);
  try {
    return new Int32Array(native.mappingBuffer(mapping, false)).slice();
  } finally {
    native.mappingClose(mapping);
  }
}

/** Whether its maker is done with it. */
function isReady(file: NativeFile): boolean {
  const { size } = native.fileStat(file);
  return size > 0 && (size < layout.ring || headerOf(file, '')?.[layout.state / 4] !== 0);
}

/** Throws `ERR_INTERPROC_MISMATCH`, with both values, for what is no channel or not one of ours. */
function checkSegment(file: NativeFile, label: string): void {
  const header = headerOf(file, label);
  const found = (offset: number) => (header?.[offset / 4] ?? 0) >>> 0;
  for (const field of ['magic', 'version', 'kind'] as const) {
    const expected = layout[`${field}Value`];
    if (found(layout[field]) !== expected) throw mismatch(label, field, expected, found(layout[field]));
  }
}

function mismatch(label: string, field: string, expected: number, found: number): IpcError {
  const shown = (value: number) =>
    field === 'magic' ? `0x${value.toString(16).padStart(8, '0')}` : String(value);
  return new IpcError(
    'ERR_INTERPROC_MISMATCH',
    `The channel${label === '' ? '' : ` '${label}'`} has ${field} ${shown(found)}, and ${shown(expected)} was expected`,
    { path: label === '' ? undefined : label },
  );
}

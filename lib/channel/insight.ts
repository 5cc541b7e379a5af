/** What there is to see of a channel, for its operator: who has it open, and what has gone through. */
import { type NativeParticipant, native } from '../internal/native.js';
import type { ChannelMemory } from './channel-memory.js';
import { getCount, layout, ring } from './layout.js';
import type { SideName } from './side.js';
import { judge, type PeerState } from './wait-line.js';

const { doneWord, receivedWord, receiverSleptWord, senderSleptWord, tailWord, timesFullWord } = ring;

/** Who has a channel open. */
export interface ChannelParticipant {
  /** Null where it can't be known: of one that opened it read-only. In the pid namespace of its own. */
  pid: number | null;
  /** The thread (man 2 gettid): the pid for the main thread. */
  thread: number | null;
  /** When its process was started. */
  started: Date | null;
  /** Since when it takes part. */
  since: Date | null;
  readOnly: boolean;
  roles: SideName[];
}

export interface ChannelStats {
  /** Messages that were accepted; as its sender's own process knows it, elsewhere as `published`. */
  sent: number;
  /** Messages that the receiver can see, since the channel was made. */
  published: number;
  /** Messages that were finished; as its receiver's own process knows it, elsewhere as of the last space handed back. */
  received: number;
  /** Bytes of all published messages, without their headers. */
  bytes: number;
  /** How often the sender found no room. */
  timesFull: number;
  /** How often each side went to sleep. */
  timesSlept: { sender: number; receiver: number };
  /** Bytes of the ring that hold what is published and not finished, headers included. */
  used: number;
  peers: { sender: PeerState; receiver: PeerState };
}

export function participantsOf(memory: ChannelMemory, participant: NativeParticipant): ChannelParticipant[] {
  const owners = { sender: roleIn(memory, 'sender'), receiver: roleIn(memory, 'receiver') };
  const sides = Object.keys(owners) as SideName[];
  return native.participantList(participant).map(({ id, pid, thread, startedMs, sinceMs, readOnly }) => ({
    pid: pid || null,
    thread: thread || null,
    started: startedMs === 0 ? null : new Date(startedMs),
    since: sinceMs === 0 ? null : new Date(sinceMs),
    readOnly,
    roles: sides.filter((side) => owners[side] === id),
  }));
}

/** As it is written in the segment. */
export function statsOf(memory: ChannelMemory, participant: NativeParticipant): ChannelStats {
  const { words } = memory;
  const [published, bytes] = native.participantPublished(participant);
  return {
    sent: published,
    published,
    received: getCount(words, receivedWord),
    bytes,
    timesFull: getCount(words, timesFullWord),
    timesSlept: { sender: getCount(words, senderSleptWord), receiver: getCount(words, receiverSleptWord) },
    used: (Atomics.load(words, tailWord) - (words[doneWord] as number)) >>> 0,
    peers: {
      sender: judge(participant, roleIn(memory, 'sender')),
      receiver: judge(participant, roleIn(memory, 'receiver')),
    },
  };
}

function roleIn({ words }: ChannelMemory, side: SideName): number {
  return Atomics.load(words, layout[`${side}Role`] / 4) >>> 0;
}

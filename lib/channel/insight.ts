/** What there is to see of a channel, for its operator: who has it open, and what has gone through. */
import { type NativeParticipant, native } from '../internal/native.js';
import type { ChannelMemory } from './channel-memory.js';
import { getCount, layout, ring } from './layout.js';
import type { SideName } from './side.js';
import { judge, type PeerState } from './wait-line.js';

const { doneWord, receivedWord, receiverSleptWord, senderSleptWord, tailWord, timesFullWord } = ring;

/** Who has a channel open. */
export interface ChannelParticipant {
  /** Null where it can't be known: of one that opened it read-only, or that has its pid `elsewhere`. */
  pid: number | null;
  /** The thread (man 2 gettid): the pid for the main thread. Null where `pid` is. */
  thread: number | null;
  /** Of one in another pid namespace, such as another container's, what it is there; else null. */
  elsewhere: {
    /** The number that `lsns -t pid` shows. */
    pidNamespace: number;
    /** Its process, as it is called there. */
    pid: number;
    /** Its thread, as it is called there. */
    thread: number;
  } | null;
  /** When its process was started. */
  started: Date | null;
  /** Since when it takes part. */
  since: Date | null;
  /** Whether it opened the channel for looking only. */
  readOnly: boolean;
  /** Which sides it is: none, one or both. */
  roles: ('sender' | 'receiver')[];
}

/** What `channel.stats()` tells: numbers since the channel was made, of all its senders and receivers. */
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
  timesSlept: {
    /** For want of room. */
    sender: number;
    /** For want of a message. */
    receiver: number;
  };
  /** Bytes of the ring that hold what is published and not finished, headers included. */
  used: number;
  /** How both sides fare, as the kernel sees it now. */
  peers: {
    /** `'none'`: there never was one. */
    sender: PeerState;
    /** `'none'`: there never was one. */
    receiver: PeerState;
  };
}

export function participantsOf(memory: ChannelMemory, participant: NativeParticipant): ChannelParticipant[] {
  const owners = { sender: roleIn(memory, 'sender'), receiver: roleIn(memory, 'receiver') };
  const sides = Object.keys(owners) as SideName[];
  return native.participantList(participant).map((each) => {
    const { id, pid, thread, pidNamespace, isPidOurs, startedMs, sinceMs, readOnly } = each;
    return {
      pid: isPidOurs ? pid || null : null,
      thread: isPidOurs ? thread || null : null,
      elsewhere: isPidOurs || pid === 0 ? null : { pidNamespace, pid, thread },
      started: startedMs === 0 ? null : new Date(startedMs),
      since: sinceMs === 0 ? null : new Date(sinceMs),
      readOnly,
      roles: sides.filter((side) => owners[side] === id),
    };
  });
}

/** Who that is, to go on in a message with; '' where it can't be known. */
export function whoIs({ pid, thread, elsewhere }: ChannelParticipant): string {
  if (pid !== null) return `, in process ${pid} (thread ${thread})`;
  if (elsewhere === null) return '';
  return `, in process ${elsewhere.pid} (thread ${elsewhere.thread}) of another pid namespace, ${elsewhere.pidNamespace}`;
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

/** What the bench makes for the sides of a team before they start: descriptors that it hands them, or names. */
import { Channel, createPipe, Fifo, SharedMemory, socketPair } from 'interproc';
import type { Contender, Role, Task } from '../contenders/contender.js';
import { type DescriptorCalls, isObjectShape, type Shape } from '../scenarios/scenario.js';
import { makeObjects } from './kernel-objects.js';
import { lockMemoryBytes } from './lock-memory.js';
import { pathsOf } from './paths.js';
import { ringBytes } from './ring-bytes.js';

export interface Supplies {
  /** What becomes `Task.handed` of a side. */
  fdsOf(role: Role): number[];
  /** What becomes `Task.keys`. */
  keys: number[];
  /** Once the sides have started. */
  close(): void;
}

export function suppliesFor({ id }: Contender, shape: Shape, place: Pick<Task, 'folder' | 'name'>): Supplies {
  if (shape.kind === 'descriptor') return descriptorsOf(shape, place);
  if (isObjectShape(shape)) {
    return { ...supplies({ lead: [], follow: [] }), keys: makeObjects(shape, place.name) };
  }
  if (shape.kind === 'lock') {
    const memory = [SharedMemory.anonymous({ size: lockMemoryBytes })];
    return supplies({ lead: memory, follow: memory });
  }
  if (shape.kind === 'memory' && shape.call === 'attach')
    SharedMemory.create(place.name, { size: shape.bytes }).close();
  const channels = id === 'floor' || id === 'interproc' ? channelsOf(shape) : [];
  return supplies({ lead: channels, follow: channels });
}

/** Whether its sides find what they need by its name, or its keys, only as long as it is there. */
export const isNeededOn = (shape: Shape): boolean =>
  shape.kind === 'memory' || (isObjectShape(shape) && shape.api === 'sysv');

/** Rings, the same for all who use them: small enough for a cache, or for sixteen messages. */
function channelsOf(shape: Shape): Channel[] {
  if (shape.kind === 'ping-pong') return [0, 1].map(() => Channel.anonymous({ capacity: 65_536 }));
  if (shape.kind !== 'one-way') return [];
  return [Channel.anonymous({ capacity: Math.max(ringBytes, 8 * shape.bytes) })];
}

function descriptorsOf({ transport }: DescriptorCalls, place: Pick<Task, 'folder' | 'name'>): Supplies {
  switch (transport) {
    case 'pipe': {
      const [there, back] = [createPipe(), createPipe()];
      return supplies({ lead: [there.writer, back.reader], follow: [back.writer, there.reader] });
    }
    case 'fifo': {
      const { out, back } = pathsOf({ role: 'lead', ...place });
      Fifo.create(out);
      Fifo.create(back);
      return supplies({ lead: [], follow: [] });
    }
    default: {
      const [lead, follow] = socketPair(transport);
      return supplies({ lead: [lead], follow: [follow] });
    }
  }
}

interface HasFd {
  readonly fd: number;
  close(): void;
}

function supplies(objects: Record<Role, HasFd[]>): Supplies {
  return {
    fdsOf: (role) => objects[role].map(({ fd }) => fd),
    keys: [],
    close: () => {
      for (const object of [...objects.lead, ...objects.follow]) object.close();
    },
  };
}

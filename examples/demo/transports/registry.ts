/** All transports, in the order of the table. The first is what the others are compared with. */
import { channelCopy } from './channel-copy.js';
import { channelInPlace } from './channel-in-place.js';
import { processSend } from './process-send.js';
import { sharedRing } from './shared-ring.js';
import { sharedWhole } from './shared-whole.js';
import type { Transport } from './transport.js';
import { unixSocket } from './unix-socket.js';

export const transports: readonly Transport[] = [
  processSend,
  unixSocket,
  channelCopy,
  channelInPlace,
  sharedRing,
  sharedWhole,
];

export function transportById(id: string): Transport {
  const found = transports.find((transport) => transport.id === id);
  if (found === undefined) throw new RangeError(`no transport has the id '${id}'`);
  return found;
}

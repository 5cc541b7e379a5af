import { channelKinds } from './channel.js';
import { memoryKinds } from './memory.js';
import { pipeKinds } from './pipe.js';
import { queueKinds } from './queue.js';
import { semaphoreKinds } from './semaphore.js';
import { socketKinds } from './socket.js';
import { syncKinds } from './sync.js';

/** What is cycled, by its name. @type {Record<string, import('./place.js').Kind>} */
export const kinds = {
  ...memoryKinds,
  ...pipeKinds,
  ...socketKinds,
  ...queueKinds,
  ...semaphoreKinds,
  ...syncKinds,
  ...channelKinds,
};

/**
 * The queues of the soak. Each carries messages in lanes: of one lane they come in the order in which they were sent, and
 * those of the last lane come after all the others.
 */
import { MessageQueue, SysvMessageQueue } from 'interproc';

export const messageSize = 64;
export const lanes = 3;
export const lastLane = lanes;
/** Few, so that who sends has to wait, too. */
const room = 10;

/**
 * Which messages a receive asks for.
 *
 * @typedef {import('interproc').SysvReceiveOptions} Wanted
 * @typedef {import('interproc').WaitOptions} WaitOptions
 * @typedef {{ data: Buffer, lane: number }} Message
 *
 * @typedef {object} Queue
 * @property {(data: Buffer, lane: number, options?: WaitOptions) => Promise<void>} send
 * @property {(data: Buffer, lane: number, options?: { timeout: number }) => void} sendSync
 * @property {(data: Buffer, lane: number) => boolean} trySend
 * @property {(wanted: Wanted, options?: WaitOptions) => Promise<Message>} receive
 * @property {(wanted: Wanted, options?: { timeout: number }) => Message} receiveSync
 * @property {(wanted: Wanted) => Message | null} tryReceive
 * @property {() => void} close
 *
 * @typedef {object} QueueKind
 * @property {Wanted[][]} choices Sets of receives that take everything together, and nothing that another one takes.
 * @property {(name: string) => { address: string | number, messages(): number, remove(): void }} make
 * @property {(address: any) => Queue} open
 */

const everything = [{}];
const byType = Array.from({ length: lanes + 1 }, (_, lane) => ({ type: lane + 1 }));
const lowestFirst = [{ type: -lanes }, { type: lanes + 1 }];
const allButTheLast = [{ type: lanes + 1, except: true }, { type: lanes + 1 }];

/** @type {Record<string, QueueKind>} */
export const queues = {
  queue: {
    choices: [everything],
    make(name) {
      const queue = MessageQueue.create(name, { maxMessages: room, messageSize });
      return {
        address: name,
        messages: () => queue.attributes().messages,
        remove() {
          queue.unlink();
          queue.close();
        },
      };
    },
    open(name) {
      const queue = MessageQueue.open(name);
      const priorityOf = (/** @type {number} */ lane) => lastLane - lane;
      /** @param {import('interproc').PriorityMessage} message */
      const from = ({ data, priority }) => ({ data, lane: lastLane - priority });
      return {
        send: (data, lane, options) => queue.send(data, { priority: priorityOf(lane), ...options }),
        sendSync: (data, lane, options) => queue.sendSync(data, { priority: priorityOf(lane), ...options }),
        trySend: (data, lane) => queue.trySend(data, { priority: priorityOf(lane) }),
        receive: (_, options) => queue.receive(options).then(from),
        receiveSync: (_, options) => from(queue.receiveSync(options)),
        tryReceive() {
          const message = queue.tryReceive();
          return message && from(message);
        },
        close: () => queue.close(),
      };
    },
  },

  'sysv-queue': {
    choices: [everything, byType, lowestFirst, allButTheLast],
    make() {
      const queue = SysvMessageQueue.create(null, { maxBytes: room * messageSize });
      return {
        address: queue.id,
        messages: () => queue.stat().messages,
        remove: () => queue.remove(),
      };
    },
    open(id) {
      const queue = SysvMessageQueue.fromId(id);
      /** @param {import('interproc').SysvMessage<number | bigint>} message */
      const from = ({ data, type }) => ({ data, lane: Number(type) - 1 });
      return {
        send: (data, lane, options) => queue.send(lane + 1, data, options),
        sendSync: (data, lane, options) => queue.sendSync(lane + 1, data, options),
        trySend: (data, lane) => queue.trySend(lane + 1, data),
        receive: (wanted, options) =>
          queue
            .receive(options || wanted !== everything[0] ? { ...wanted, ...options } : undefined)
            .then(from),
        receiveSync: (wanted, options) => from(queue.receiveSync({ ...wanted, ...options })),
        tryReceive(wanted) {
          const message = queue.tryReceive(wanted);
          return message && from(message);
        },
        close: () => queue.close(),
      };
    },
  },
};

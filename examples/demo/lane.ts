/** One transport with its child process, for all rounds, as the parent sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { DemoError } from './demo-error.js';
import type { Algorithm } from './digest.js';
import { Mailbox } from './mailbox.js';
import { inSeconds, type Move, type Mover } from './move.js';
import type { SourceFile } from './source-file.js';
import { linkFd, type Sender, type Transport } from './transports/transport.js';

const childScript = fileURLToPath(new URL('./child.js', import.meta.url));

/** Tells the child to receive the file. */
export interface Round {
  algorithm: Algorithm;
}

/** The child's answer, when it has read all. */
export interface Result {
  digest: string;
  cpu: NodeJS.CpuUsage;
}

export class Lane implements Mover {
  readonly id: string;
  readonly name: string;
  readonly #sender: Sender;
  readonly #child: ChildProcess;
  readonly #mailbox: Mailbox;
  /** How the child ended. */
  readonly #ended: Promise<string>;

  constructor(transport: Transport, bytes: number) {
    this.id = transport.id;
    this.name = transport.name;
    this.#sender = transport.openSender(bytes);
    this.#child = fork(childScript, [this.id, `${bytes}`], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', this.#sender.link],
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', ({ message }) => resolve(message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.#mailbox = new Mailbox(this.#child);
    // The callback of write() is told the same.
    this.#socket?.on('error', () => {});
  }

  /** The clock runs from the first message until the child has answered that it has read all. */
  async move(source: SourceFile, algorithm: Algorithm): Promise<Move> {
    try {
      source.rewind();
      const cpuBefore = process.cpuUsage();
      const start = performance.now();
      this.#mailbox.post({ algorithm } satisfies Round);
      await this.#sender.send({ source, mailbox: this.#mailbox, socket: this.#socket as Socket });
      const { digest, cpu } = (await this.#mailbox.next()) as Result;
      const seconds = (performance.now() - start) / 1e3;
      return { digest, seconds, cpuSeconds: inSeconds(process.cpuUsage(cpuBefore)) + inSeconds(cpu) };
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  /** Ends the child, whatever it is at, and waits for that. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.#sender.close();
  }

  get #socket(): Socket | undefined {
    return (this.#child.stdio[linkFd] as Socket | null | undefined) ?? undefined;
  }

  /** When the child dies, all that this process sees is a broken connection: tells of the death instead. */
  async #explain(error: unknown): Promise<unknown> {
    // Of no effect on a child that is dead already: its end shows its own reason.
    const ours = 'SIGTERM';
    this.#child.kill(ours);
    const end = await this.#ended;
    if (end === ours) return error;
    return new DemoError(`the child of '${this.id}' ended early: ${end}`);
  }
}

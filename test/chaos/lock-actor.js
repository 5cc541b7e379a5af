/**
 * One of those who share locks, as a process: a victim when INTERPROC_FAILPOINT names a step that it comes by.
 *
 *   WORK NAME FORM COUNT WHO     does so many rounds of a work (lock-work.js; 0: until all are to stop) in the memory NAME
 *
 * Prints what it has to tell, and `end`. lock-actor.c is the same in C, for a mutex.
 */
import { writeSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { takePart } from './lock-work.js';

const [, , work = '', name = '', form = '', count = '0', who = '0'] = process.argv;
/** Synchronous: nothing that it has said is lost with it. */
const tell = (/** @type {string} */ line) => void writeSync(1, `${line}\n`);

await takePart(SharedMemory.open(name), { work, form, count: Number(count), who: Number(who), tell });
tell('end');
process.exit();

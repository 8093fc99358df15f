import { freemem, totalmem } from 'node:os';
import type { Machine } from './memory-plan.js';

/** The memory that this process may use, and what of it is free now: the container's where there is a limit. */
export function thisMachine(): Machine {
  // Without a limit it is 0, undefined or a number far beyond the machine's memory.
  const limit = process.constrainedMemory();
  const limited = limit > 0 && limit < totalmem();
  return { memory_bytes: limited ? limit : totalmem(), available_bytes: process.availableMemory?.() ?? freemem() };
}

/** What a command has to move and to compute, at least: what the time that it takes is compared with. */
import { storedBytes } from '../weights/blocks.js';
import { seenBy } from './checkCommands.js';
import type { Command, KvCache } from './device.js';
import { kvRowBytes } from './kvLayout.js';

export interface Cost {
  /** For people: the operation, and the format of the weights. */
  readonly name: string;
  /** Read and written, each once. */
  readonly bytes: number;
  /** Multiplications and additions, about. */
  readonly operations: number;
}

const f32 = 4;

export function commandCost(command: Command): Cost {
  switch (command.op) {
    case 'embed': {
      const { weight, rows } = command;
      return { name: `embed ${weight.format}`, bytes: rows * (storedBytes(weight.format, weight.inputs) + weight.inputs * f32), operations: rows * weight.inputs };
    }
    case 'matMul': {
      const { rows, parts } = command;
      const inputs = parts[0]?.weight.inputs ?? 0;
      const outputs = parts.reduce((sum, { weight }) => sum + weight.outputs, 0);
      const weights = parts.reduce((sum, { weight }) => sum + storedBytes(weight.format, weight.outputs * weight.inputs), 0);
      const formats = [...new Set(parts.map(({ weight }) => weight.format))].join('+');
      return { name: `matMul ${formats}${rows === 1 ? ', 1 row' : ''}`, bytes: weights + rows * (inputs + outputs) * f32, operations: 2 * rows * inputs * outputs };
    }
    case 'attention': {
      const { rows, start, heads, window, cache } = command;
      const { from, to } = seenBy(command);
      const average = window === 0 ? start + rows / 2 : Math.min(window, start + rows / 2);
      const { headDim } = cache;
      return { name: 'attention', bytes: kvBytes(cache, to - from) + 2 * rows * heads * headDim * f32, operations: 4 * rows * heads * headDim * average };
    }
    case 'storeKv':
      return { name: 'storeKv', bytes: kvBytes(command.cache, command.rows) + elements(command) * f32, operations: elements(command) * 4 };
    default:
      return { name: command.op, bytes: elements(command) * arrays(command) * f32, operations: elements(command) * 4 };
  }
}

function kvBytes({ format, kvHeads, headDim }: KvCache, positions: number): number {
  return 2 * positions * kvHeads * kvRowBytes(format, headDim);
}

type Elementwise = Exclude<Command, { op: 'embed' | 'matMul' | 'attention' }>;

/** Of the result. */
function elements(command: Elementwise): number {
  switch (command.op) {
    case 'rmsNorm':
    case 'addNorm':
    case 'layerNorm':
      return command.rows * command.width;
    case 'normRope':
      return command.rows * command.heads * command.headDim;
    case 'storeKv':
      return 2 * command.rows * command.cache.kvHeads * command.cache.headDim;
    case 'unfold':
      return command.rows * command.taps * command.width;
    case 'averagePool':
      return (command.side / command.size) ** 2 * command.width;
    default:
      return command.count;
  }
}

/** As large as the result, that are read or written. */
function arrays(command: Elementwise): number {
  switch (command.op) {
    case 'addNorm':
      return command.next ? 4 : 3;
    case 'geGlu':
    case 'add':
      return 3;
    case 'averagePool':
      return 1 + command.size ** 2;
    case 'sample':
      return 1;
    default:
      return 2;
  }
}

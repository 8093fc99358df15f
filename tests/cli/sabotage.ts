/**
 * `lodestone needle` on a runtime that computes wrongly: node --import tsx tests/cli/sabotage.ts KIND [options of needle].
 * The damage is done to the open model and its device; the product has no switch for it.
 */
import type { Command, Device } from '../../src/device/device.js';
import { needleCommand } from '../../src/cli/needle.js';
import { openModel, type Model } from '../../src/runtime/model.js';
import { withSubmit } from '../../src/device/with-submit.js';

/** Positions that come round to slots that are taken are not stored: the ring keeps its first ones. */
function withoutWrapping(device: Device): Device {
  const keep = (command: Command): Command[] => {
    if (command.op !== 'storeKv' || !command.cache.ring) return [command];
    const rows = Math.min(command.rows, command.cache.pageSlots - command.start);
    return rows > 0 ? [{ ...command, rows }] : [];
  };
  return withSubmit(device, (commands, signal) => device.submit(commands.flatMap(keep), signal));
}

const SABOTAGE: Readonly<Record<string, (model: Model) => Model>> = {
  none: (model) => model,
  'window too short by one': (model) => ({ ...model, config: { ...model.config, window: model.config.window - 1 } }),
  'window too long by one': (model) => ({ ...model, config: { ...model.config, window: model.config.window + 1 } }),
  'ring not wrapped': (model) => ({ ...model, device: withoutWrapping(model.device) }),
  'wrong RoPE base': (model) => ({ ...model, config: { ...model.config, ropeLocalBase: 1.1 * model.config.ropeLocalBase } }),
};

const [kind = '', ...args] = process.argv.slice(2);
const sabotage = SABOTAGE[kind]!;
await needleCommand(new AbortController().signal, async (dir, device, options) => sabotage(await openModel(dir, device, options))).parseAsync(args, { from: 'user' });

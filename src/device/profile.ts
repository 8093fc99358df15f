/** Where a device's time goes, kernel by kernel: time, what it had to move and compute, and how near that is to what the device can do. */
import { commandCost } from './command-cost.js';
import type { Command, Device } from './device.js';
import { measureLimits, type Limits } from './limits.js';
import { withSubmit } from './with-submit.js';

/** What a kernel, in one variant, has taken so far. */
export interface KernelTime {
  readonly kernel: string;
  readonly calls: number;
  readonly ms: number;
  /** That it had to read and write, each once. */
  readonly bytes: number;
  /** Multiplications and additions, about. */
  readonly operations: number;
}

export class Profile {
  readonly #kernels = new Map<string, KernelTime>();

  add(kernel: string, ms: number, bytes: number, operations: number): void {
    const before = this.#kernels.get(kernel) ?? { calls: 0, ms: 0, bytes: 0, operations: 0 };
    this.#kernels.set(kernel, {
      kernel,
      calls: before.calls + 1,
      ms: before.ms + ms,
      bytes: before.bytes + bytes,
      operations: before.operations + operations,
    });
  }

  /** What took the longest first. */
  get kernels(): readonly KernelTime[] {
    return [...this.#kernels.values()].toSorted((a, b) => b.ms - a.ms);
  }
}

/**
 * The device, with the time of its kernels added up in `profile`; everything then takes longer. A device that can't time its
 * kernels itself is given one command at a time, and those are the kernels.
 */
export function profiled(device: Device, profile: Profile): Device {
  if (device.profileInto) {
    device.profileInto(profile);
    return device;
  }
  const submit = async (commands: readonly Command[], signal?: AbortSignal): Promise<void> => {
    for (const command of commands) {
      const began = performance.now();
      await device.submit([command], signal);
      const { name, bytes, operations } = commandCost(command);
      profile.add(name, performance.now() - began, bytes, operations);
    }
  };
  return withSubmit(device, submit);
}

/** Measures what the device can do, and times its kernels from now on. */
export async function startProfile(device: Device): Promise<{ readonly device: Device; report(): ProfileReport }> {
  const limits = await measureLimits(device);
  const profile = new Profile();
  return { device: profiled(device, profile), report: () => profileReport(device, profile, limits) };
}

/** What `--profile` prints with `--json`, schema lodestone.profile/1. */
export interface ProfileReport {
  readonly schema: 'lodestone.profile/1';
  readonly device: string;
  /** Measured here: bytes and operations per second. */
  readonly limits: { readonly copy: number; readonly mat_mul: number };
  readonly kernels: readonly (KernelTime & { readonly share_of_copy: number; readonly share_of_mat_mul: number })[];
}

export function profileReport(device: Pick<Device, 'description'>, profile: Profile, limits: Limits): ProfileReport {
  const kernels = profile.kernels.map((kernel) => ({
    ...kernel,
    share_of_copy: kernel.ms === 0 ? 0 : (kernel.bytes * 1000) / kernel.ms / limits.copy,
    share_of_mat_mul: kernel.ms === 0 ? 0 : (kernel.operations * 1000) / kernel.ms / limits.matMul,
  }));
  return { schema: 'lodestone.profile/1', device: device.description, limits: { copy: limits.copy, mat_mul: limits.matMul }, kernels };
}

export function formatProfile({ device, limits, kernels }: ProfileReport): string {
  const giga = (perSecond: number): string => (perSecond / 1e9).toFixed(perSecond < 1e11 ? 1 : 0);
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`.padStart(8);
  const lines = kernels.map(({ kernel, calls, ms, bytes, operations, share_of_copy, share_of_mat_mul }) =>
    [
      kernel.padEnd(24),
      String(calls).padStart(7),
      ms.toFixed(1).padStart(10),
      percent(ms / total),
      (bytes / 2 ** 20).toFixed(0).padStart(9),
      giga((bytes * 1000) / ms).padStart(8),
      percent(share_of_copy),
      giga((operations * 1000) / ms).padStart(8),
      percent(share_of_mat_mul),
    ].join(' '),
  );
  return [
    `${device}: copies ${giga(limits.copy)} GB/s, multiplies ${giga(limits.mat_mul)} GFLOP/s, as measured here`,
    `${'kernel'.padEnd(24)}   calls         ms  of time       MiB     GB/s  of copy  GFLOP/s  of best`,
    ...lines,
    `${'all'.padEnd(24)} ${String(kernels.reduce((sum, { calls }) => sum + calls, 0)).padStart(7)} ${total.toFixed(1).padStart(10)}`,
    '',
  ].join('\n');
}

import type { Device } from './device.js';

/** A device like another one, but for what it does with commands. */
export function withSubmit(device: Device, submit: Device['submit']): Device {
  return {
    name: device.name,
    description: device.description,
    kernels: device.kernels,
    kvPageSlots: device.kvPageSlots,
    decodeSteps: device.decodeSteps,
    get allocatedBytes() {
      return device.allocatedBytes;
    },
    createBuffer: (bytes, label) => device.createBuffer(bytes, label),
    ...(device.mapBuffer ? { mapBuffer: (file, offset, bytes, label) => device.mapBuffer!(file, offset, bytes, label) } : {}),
    destroyBuffer: (buffer) => device.destroyBuffer(buffer),
    write: (to, data) => device.write(to, data),
    read: (from, bytes) => device.read(from, bytes),
    loadWeight: (source, as) => device.loadWeight(source, as),
    close: () => device.close(),
    submit,
  };
}

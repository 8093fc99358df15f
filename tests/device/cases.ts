/** Random inputs, and the rig that records a case on two devices: the GPU bench checks kernels with them too, so they live there. */
export * from '../../src/bench/kernel-cases.js';

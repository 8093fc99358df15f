/**
 * WebGPU does not say which threads of a workgroup form a subgroup. The kernels take it that neighbouring numbers do, as the
 * drivers have it; whether this one does is asked before any of them runs.
 */

/** Threads of the kernels' workgroups. */
const workgroups = [64, 128, 256];

/** Counts the threads whose neighbours, `step` and four of them, are where kernels/wgsl/exchange.wgsl and lanes.wgsl look for them. */
const code = (neighbours: number): string => `
enable subgroups;
override threads: u32;
@group(0) @binding(0) var<storage, read_write> right: atomic<u32>;
@compute @workgroup_size(threads)
fn main(@builtin(local_invocation_index) thread: u32) {
  var apart = quadBroadcast(thread, 0u) != thread - thread % 4u;
  for (var step = 1u; step < ${neighbours}u; step *= 2u) {
    apart = apart | (subgroupShuffleXor(thread, step) != (thread ^ step));
  }
  if (!apart) {
    atomicAdd(&right, 1u);
  }
}`;

/** Whether `neighbours` threads with neighbouring numbers are in one subgroup, in order of their numbers. Of 0: nothing is asked. */
export async function neighboursHold(device: GPUDevice, neighbours: number): Promise<boolean> {
  if (neighbours === 0) return true;
  const module = device.createShaderModule({ label: 'subgroup probe', code: code(neighbours) });
  const right = device.createBuffer({ label: 'subgroup probe', size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const staging = device.createBuffer({ label: 'subgroup probe', size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  try {
    const pipelines = await Promise.all(
      workgroups.map((threads) => device.createComputePipelineAsync({ label: 'subgroup probe', layout: 'auto', compute: { module, constants: { threads } } })),
    );
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const pipeline of pipelines) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: right } }] }));
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    encoder.copyBufferToBuffer(right, 0, staging, 0, 4);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    return new Uint32Array(staging.getMappedRange())[0] === workgroups.reduce((sum, threads) => sum + threads, 0);
  } catch {
    // The driver does not compile it, or more: then it would not compile the kernels either.
    return false;
  } finally {
    right.destroy();
    staging.destroy();
  }
}

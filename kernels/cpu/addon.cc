// The Node-API side: a device is an external value; jobs are promises. src/device/cpu/native.ts has the types.
#include <node_api.h>
#include <string.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "engine.h"
#include "isa.h"

namespace lodestone {
namespace {

// The JavaScript side of a job in flight.
struct Waiting {
  napi_deferred deferred = nullptr;
  napi_ref keeps_alive = nullptr;  // the array that a job reads or writes
  uint32_t weight_id = 0;
};

struct Device {
  napi_threadsafe_function notify = nullptr;
  std::unique_ptr<Engine> engine;
  std::unordered_map<Job*, Waiting> waiting;
  std::unordered_map<uint32_t, Job*> submits;  // by serial, to cancel them
  bool closed = false;
};

// --------------------------------------------------------------------------------------------------- small helpers

napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, nullptr, message);
  return nullptr;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value out;
  napi_create_string_utf8(env, value.data(), value.size(), &out);
  return out;
}

napi_value number(napi_env env, double value) {
  napi_value out;
  napi_create_double(env, value, &out);
  return out;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) { napi_set_named_property(env, object, name, value); }

// The arguments of a call; missing ones are undefined.
struct Arguments {
  static constexpr size_t most = 12;
  napi_env env;
  napi_value values[most];
  Arguments(napi_env env, napi_callback_info info) : env(env) {
    size_t count = most;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  double number(int i) const {
    double value = 0;
    napi_get_value_double(env, values[i], &value);
    return value;
  }
  std::string text(int i) const {
    size_t size = 0;
    if (napi_get_value_string_utf8(env, values[i], nullptr, 0, &size) != napi_ok) return "";
    std::string out(size, '\0');
    napi_get_value_string_utf8(env, values[i], out.data(), size + 1, &size);
    return out;
  }
  // The bytes of a typed array.
  bool bytes(int i, uint8_t** data, size_t* size) const {
    bool typed = false;
    napi_is_typedarray(env, values[i], &typed);
    if (!typed) return false;
    napi_typedarray_type type;
    size_t length;
    void* at;
    if (napi_get_typedarray_info(env, values[i], &type, &length, &at, nullptr, nullptr) != napi_ok) return false;
    const size_t width = type == napi_float64_array ? 8 : type == napi_float32_array || type == napi_uint32_array || type == napi_int32_array ? 4 : 1;
    *data = (uint8_t*)at;
    *size = length * width;
    return true;
  }
  // The open device in argument 0; throws and gives null where it is closed.
  Device* device() const {
    void* at = nullptr;
    napi_get_value_external(env, values[0], &at);
    Device* out = (Device*)at;
    if (out && !out->closed) return out;
    fail(env, "the cpu device is closed");
    return nullptr;
  }
};

// ---------------------------------------------------------------------------------------------------- jobs in flight

// Stops all threads, at once. What waits stays unsettled.
void shut_down(Device* device) {
  if (device->closed) return;
  device->closed = true;
  device->engine->stop();
  device->engine.reset();
  napi_release_threadsafe_function(device->notify, napi_tsfn_abort);
}

void at_exit(void* data) { shut_down((Device*)data); }

// On the JavaScript thread, when a job is done.
void settle(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<Job> job((Job*)data);
  Device* device = (Device*)context;
  if (!env || device->closed) return;
  const auto found = device->waiting.find(job.get());
  if (found == device->waiting.end()) return;  // nobody waits for a free or a write
  const Waiting waiting = found->second;
  device->waiting.erase(found);
  for (auto it = device->submits.begin(); it != device->submits.end();) {
    if (it->second == job.get()) it = device->submits.erase(it);
    else ++it;
  }
  if (device->waiting.empty()) napi_unref_threadsafe_function(env, device->notify);
  if (waiting.keeps_alive) napi_delete_reference(env, waiting.keeps_alive);
  double result = job->is_cancelled() ? 1 : 0;
  if (auto* load = dynamic_cast<LoadJob*>(job.get()); load && job->error.empty()) {
    result = double(load->result.memory.data() ? load->result.memory.bytes() : 0);
    device->engine->weights[waiting.weight_id] = std::move(load->result);
  }
  if (job->error.empty()) {
    napi_resolve_deferred(env, waiting.deferred, number(env, result));
  } else {
    napi_value error;
    napi_create_error(env, job->out_of_memory ? text(env, "OUT_OF_MEMORY") : nullptr, text(env, job->error), &error);
    napi_reject_deferred(env, waiting.deferred, error);
  }
}

// Adds a job that JavaScript waits for.
napi_value start(napi_env env, Device* device, std::unique_ptr<Job> job, napi_value keep_alive, uint32_t weight_id = 0) {
  Waiting waiting;
  waiting.weight_id = weight_id;
  napi_value promise;
  if (napi_create_promise(env, &waiting.deferred, &promise) != napi_ok) return fail(env, "no promise could be made");
  if (keep_alive) napi_create_reference(env, keep_alive, 1, &waiting.keeps_alive);
  if (device->waiting.empty()) napi_ref_threadsafe_function(env, device->notify);
  device->waiting[job.get()] = waiting;
  device->engine->add(std::move(job));
  return promise;
}

// ------------------------------------------------------------------------------------------------------- functions

// variants(): [{ name, title, supported, bf16 }], best first
napi_value list_variants(napi_env env, napi_callback_info) {
  int count;
  const Variant* list = variants(&count);
  napi_value out;
  napi_create_array(env, &out);
  for (int i = 0; i < count; i++) {
    napi_value item, supported, bf16;
    napi_create_object(env, &item);
    napi_get_boolean(env, list[i].supported, &supported);
    napi_get_boolean(env, list[i].bf16, &bf16);
    set(env, item, "name", text(env, list[i].kernels->name));
    set(env, item, "title", text(env, list[i].title));
    set(env, item, "supported", supported);
    set(env, item, "bf16", bf16);
    napi_set_element(env, out, uint32_t(i), item);
  }
  return out;
}

// threads(device): those that work for it
napi_value get_threads(napi_env env, napi_callback_info info) {
  Device* device = Arguments(env, info).device();
  return device ? number(env, device->engine->threads()) : nullptr;
}

napi_value get_default_threads(napi_env env, napi_callback_info) { return number(env, default_threads()); }

// open(variant, threads, bf16Activations): device
napi_value open(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  const std::string name = arguments.text(0);
  int count;
  const Variant* list = variants(&count);
  const Kernels* kernels = nullptr;
  bool bf16 = false;
  napi_get_value_bool(env, arguments.values[2], &bf16);
  for (int i = 0; i < count; i++) {
    if (list[i].supported && name == list[i].kernels->name && (list[i].bf16 || !bf16)) kernels = list[i].kernels;
  }
  if (!kernels) return fail(env, "no such instruction-set variant");
  auto device = std::make_unique<Device>();
  if (napi_create_threadsafe_function(env, nullptr, nullptr, text(env, "lodestone cpu device"), 0, 1, nullptr, nullptr, device.get(), settle,
                                      &device->notify) != napi_ok)
    return fail(env, "no thread-safe function could be made");
  napi_unref_threadsafe_function(env, device->notify);  // an idle device does not keep the process alive
  const napi_threadsafe_function notify = device->notify;
  try {
    device->engine = std::make_unique<Engine>(*kernels, int(arguments.number(1)), bf16, [notify](std::unique_ptr<Job> job) {
      if (napi_call_threadsafe_function(notify, job.get(), napi_tsfn_nonblocking) == napi_ok) (void)job.release();
    });
  } catch (const std::exception& failure) {
    napi_release_threadsafe_function(notify, napi_tsfn_abort);
    return fail(env, (std::string("its threads can't be started: ") + failure.what()).c_str());
  }
  napi_add_env_cleanup_hook(env, at_exit, device.get());
  napi_value out;
  napi_create_external(
      env, device.get(),
      [](napi_env env, void* data, void*) {
        Device* device = (Device*)data;
        if (!device->closed) napi_remove_env_cleanup_hook(env, at_exit, device);
        shut_down(device);
        delete device;
      },
      nullptr, &out);
  (void)device.release();
  return out;
}

// createBuffer(device, id, bytes): whether there was memory for it
napi_value create_buffer(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  Memory memory{size_t(arguments.number(2))};
  const bool there = memory.data() != nullptr;
  if (there) device->engine->buffers[uint32_t(arguments.number(1))] = std::move(memory);
  napi_value out;
  napi_get_boolean(env, there, &out);
  return out;
}

// mapBuffer(device, id, file, offset, bytes): whether it could be mapped
napi_value map_buffer(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  Memory memory = Memory::of_file(int(arguments.number(2)), size_t(arguments.number(3)), size_t(arguments.number(4)));
  const bool there = memory.data() != nullptr;
  if (there) device->engine->buffers[uint32_t(arguments.number(1))] = std::move(memory);
  napi_value out;
  napi_get_boolean(env, there, &out);
  return out;
}

// destroyBuffer(device, id): freed after all earlier work
napi_value destroy_buffer(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  const auto found = device->engine->buffers.find(uint32_t(arguments.number(1)));
  if (found == device->engine->buffers.end()) return fail(env, "no such buffer");
  auto job = std::make_unique<FreeJob>();
  job->memory = std::move(found->second);
  device->engine->buffers.erase(found);
  if (!device->engine->idle()) device->engine->add(std::move(job));
  return undefined(env);
}

// write(device, id, offset, array)
napi_value write(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  const auto found = device->engine->buffers.find(uint32_t(arguments.number(1)));
  uint8_t* from;
  size_t bytes;
  if (found == device->engine->buffers.end() || !arguments.bytes(3, &from, &bytes)) return fail(env, "write: no such buffer, or not a typed array");
  const size_t offset = size_t(arguments.number(2));
  if (offset + bytes > found->second.bytes()) return fail(env, "write: beyond the buffer's end");
  if (bytes == 0) return undefined(env);
  uint8_t* to = found->second.data() + offset;
  if (device->engine->idle()) {
    memcpy(to, from, bytes);
  } else {
    auto job = std::make_unique<CopyJob>();
    job->to = to;
    job->bytes = bytes;
    job->owned.assign(from, from + bytes);
    device->engine->add(std::move(job));
  }
  return undefined(env);
}

// read(device, id, offset, array): promise, when the array is filled
napi_value read(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  const auto found = device->engine->buffers.find(uint32_t(arguments.number(1)));
  auto job = std::make_unique<CopyJob>();
  uint8_t* to;
  if (found == device->engine->buffers.end() || !arguments.bytes(3, &to, &job->bytes)) return fail(env, "read: no such buffer, or not a typed array");
  const size_t offset = size_t(arguments.number(2));
  if (offset + job->bytes > found->second.bytes()) return fail(env, "read: beyond the buffer's end");
  job->to = to;
  job->from = found->second.data() + offset;
  return start(env, device, std::move(job), arguments.values[3]);
}

// loadWeight(device, id, from, to, outputs, inputs, path, offset, bytes, array): promise of the bytes held
napi_value load_weight(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  auto job = std::make_unique<LoadJob>();
  job->from = Weights{Format(int(arguments.number(2))), int64_t(arguments.number(4)), int64_t(arguments.number(5)), nullptr};
  job->to = Format(int(arguments.number(3)));
  job->path = arguments.text(6);
  job->offset = size_t(arguments.number(7));
  job->bytes = size_t(arguments.number(8));
  job->files = &device->engine->files;
  napi_value keep = nullptr;
  if (job->path.empty()) {
    uint8_t* at;
    size_t size;
    if (!arguments.bytes(9, &at, &size) || size < job->bytes) return fail(env, "loadWeight: the array is too short");
    job->data = at;
    keep = arguments.values[9];
  }
  return start(env, device, std::move(job), keep, uint32_t(arguments.number(1)));
}

// submit(device, serial, numbers): promise of 0, or 1 where it was cancelled
napi_value submit(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  uint8_t* numbers;
  size_t bytes;
  if (!arguments.bytes(2, &numbers, &bytes)) return fail(env, "submit: not an array of numbers");
  auto job = std::make_unique<CommandsJob>();
  std::string error;
  if (!decode_commands(*device->engine, (const double*)numbers, bytes / 8, &job->commands, &error)) return fail(env, error.c_str());
  device->submits[uint32_t(arguments.number(1))] = job.get();
  return start(env, device, std::move(job), nullptr);
}

// cancel(device, serial)
napi_value cancel(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  const auto found = device->submits.find(uint32_t(arguments.number(1)));
  if (found != device->submits.end()) found->second->cancel();
  return undefined(env);
}

// close(device): joins the threads and frees everything. The caller has waited for its jobs.
napi_value close(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  Device* device = arguments.device();
  if (!device) return nullptr;
  napi_remove_env_cleanup_hook(env, at_exit, device);
  shut_down(device);
  return undefined(env);
}

// A function whose C++ exceptions become JavaScript's: none may cross Node-API, which is C.
template <napi_callback function>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return function(env, info);
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, "OUT_OF_MEMORY", "out of memory");
  } catch (const std::exception& failure) {
    napi_throw_error(env, nullptr, failure.what());
  }
  return nullptr;
}

// Also in src/device/cpu/native.ts. It changes when a function's arguments do, or the numbers of a command or a format.
constexpr int abi = 6;

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"variants", guarded<list_variants>},
      {"defaultThreads", guarded<get_default_threads>},
      {"open", guarded<open>},
      {"threads", guarded<get_threads>},
      {"createBuffer", guarded<create_buffer>},
      {"mapBuffer", guarded<map_buffer>},
      {"destroyBuffer", guarded<destroy_buffer>},
      {"write", guarded<write>},
      {"read", guarded<read>},
      {"loadWeight", guarded<load_weight>},
      {"submit", guarded<submit>},
      {"cancel", guarded<cancel>},
      {"close", guarded<close>},
  };
  set(env, exports, "abi", number(env, abi));
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &value);
    set(env, exports, f.name, value);
  }
  return exports;
}

}  // namespace
}  // namespace lodestone

NAPI_MODULE_INIT() { return lodestone::init(env, exports); }

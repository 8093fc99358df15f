// A device without its JavaScript side: buffers, weights, and one thread that runs jobs in the order they came.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "commands.h"
#include "memory.h"

namespace lodestone {

// What a weight's data lives in: memory of its own, or a mapped file.
struct HeldWeights {
  Weights view{};
  Memory memory;
  std::shared_ptr<MappedFile> file;
};

// Work for the engine's thread. `error` is set where it failed; `cancelled` may be set from outside at any time.
struct Job {
  virtual ~Job() = default;
  virtual void run(Executor& executor) = 0;
  bool cancelled = false;
  bool out_of_memory = false;
  std::string error;

  void cancel() { __atomic_store_n(&cancelled, true, __ATOMIC_RELAXED); }
  bool is_cancelled() const { return __atomic_load_n(&cancelled, __ATOMIC_RELAXED); }
};

struct CommandsJob : Job {
  std::vector<Command> commands;
  void run(Executor& executor) override;
};

// Copies between a buffer and memory that the caller keeps alive, or (for writes) that the job owns.
struct CopyJob : Job {
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
  std::vector<uint8_t> owned;
  void run(Executor&) override;
};

// Frees a buffer once all earlier work is done.
struct FreeJob : Job {
  Memory memory;
  void run(Executor&) override { memory = Memory(); }
};

// Files already mapped, by path. Used on the engine's thread alone.
using FileMap = std::map<std::string, std::shared_ptr<MappedFile>>;

struct LoadJob : Job {
  std::string path;  // or
  const uint8_t* data = nullptr;
  size_t offset = 0, bytes = 0;
  Weights from{};
  Format to{};
  FileMap* files = nullptr;
  HeldWeights result;
  void run(Executor& executor) override;
};

class Engine {
 public:
  // `on_done` is called on the engine's thread, once for every job added. Throws where no thread can be started, or
  // there is no memory.
  Engine(const Kernels& kernels, int threads, bool bf16_activations, std::function<void(std::unique_ptr<Job>)> on_done);
  ~Engine() { stop(); }

  void add(std::unique_ptr<Job> job);
  // No job waits or runs.
  bool idle();
  // Cancels what waits or runs, and joins all threads. on_done is not called for jobs that had not begun.
  void stop();

  // That work: as many as asked for, or as the system would start.
  int threads() const { return threads_; }

  // These are touched by the caller's thread only.
  std::unordered_map<uint32_t, Memory> buffers;
  std::unordered_map<uint32_t, HeldWeights> weights;
  FileMap files;  // by the engine's thread only

 private:
  void work(Executor& executor);
  int threads_ = 0;
  std::function<void(std::unique_ptr<Job>)> on_done_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> queue_;
  Job* running_ = nullptr;
  bool stop_ = false;
  std::thread thread_;
};

// Reads commands as src/device/cpu/commands.ts writes them. False, and why, where a buffer or weight is not known.
bool decode_commands(Engine& engine, const double* numbers, size_t count, std::vector<Command>* out, std::string* error);

}  // namespace lodestone

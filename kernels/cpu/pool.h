// The device's threads: parallel loops whose indices are claimed one by one.
#pragma once
#include <stdint.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "memory.h"

namespace lodestone {

// The caller of `run` works too and waits only for indices that another thread has claimed, so a thread that the
// operating system has put aside delays nothing. Workers spin for a moment after each loop (the next follows within
// microseconds while a command list runs) and then sleep.
class Pool {
 public:
  // `threads` in all, the caller's included; fewer where the system has no more of them.
  explicit Pool(int threads);
  ~Pool();

  int threads() const { return int(workers_.size()) + 1; }

  // body(index, thread) for every index in [0, count), thread in [0, threads()). Once *cancelled is true, the rest is
  // skipped.
  template <class Body>
  void run(int64_t count, Body&& body) {
    for (int64_t base = 0; base < count; base += most) {
      auto shifted = [&](int64_t index, int thread) { body(base + index, thread); };
      using Shifted = decltype(shifted);
      run_erased(
          count - base < most ? count - base : most,
          [](void* context, int64_t index, int thread) { (*static_cast<Shifted*>(context))(index, thread); }, &shifted);
    }
  }

  // Checked before each index; null: never cancelled.
  void set_cancel_flag(const bool* cancelled) { cancelled_ = cancelled; }
  bool cancelled() const { return cancelled_ && __atomic_load_n(cancelled_, __ATOMIC_RELAXED); }

  // Gives every thread scratch of at least this many floats. Throws std::bad_alloc, so not from inside a loop's body:
  // there nothing may throw, as other threads are still at work on the caller's stack.
  void reserve_scratch(size_t floats) {
    for (GrowingMemory& scratch : scratch_) scratch.reserve(floats * 4);
  }
  // Scratch of one thread, as last reserved, 64-byte aligned; content is undefined.
  float* scratch(int thread) const { return (float*)scratch_[size_t(thread)].data(); }

 private:
  // Indices of one loop: half of what 20 bits count, as threads that find nothing left count on.
  static constexpr int64_t most = 1 << 19;
  using Body = void (*)(void* context, int64_t index, int thread);
  void run_erased(int64_t count, Body body, void* context);
  void work(int thread);
  bool claim_and_run(int thread);
  bool has_work() const;

  std::vector<std::thread> workers_;
  std::vector<GrowingMemory> scratch_;
  // The loop in progress: its count (20 bits) and the next index (20) in one word, so that what a late thread claims is
  // an index of the very loop whose count it sees. body_ and context_ change only between loops.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) Body body_ = nullptr;
  void* context_ = nullptr;
  const bool* cancelled_ = nullptr;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace lodestone

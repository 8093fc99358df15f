#include "pool.h"

#include <sched.h>

#include <system_error>

namespace lodestone {

constexpr uint64_t index_mask = (uint64_t(1) << 20) - 1;
static uint64_t count_of(uint64_t ticket) { return ticket >> 20 & index_mask; }
static uint64_t index_of(uint64_t ticket) { return ticket & index_mask; }

static void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

Pool::Pool(int threads) : scratch_(size_t(threads)) {
  workers_.reserve(size_t(threads));  // so that the next line throws nothing but what is caught
  try {
    for (int thread = 1; thread < threads; thread++) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error&) {
    // A limit on processes or memory: the work gets done by those there are.
  }
  scratch_.resize(workers_.size() + 1);
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool Pool::has_work() const {
  const uint64_t ticket = ticket_.load(std::memory_order_seq_cst);
  return index_of(ticket) < count_of(ticket);
}

bool Pool::claim_and_run(int thread) {
  if (!has_work()) return false;
  const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
  if (index_of(ticket) >= count_of(ticket)) return false;
  if (!cancelled()) body_(context_, int64_t(index_of(ticket)), thread);
  done_.fetch_add(1, std::memory_order_release);
  return true;
}

void Pool::run_erased(int64_t count, Body body, void* context) {
  if (count <= 0) return;
  if (count == 1 || workers_.empty()) {
    for (int64_t i = 0; i < count && !cancelled(); i++) body(context, i, 0);
    return;
  }
  body_ = body;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(uint64_t(count) << 20, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  while (claim_and_run(0)) {
  }
  for (int spins = 0; done_.load(std::memory_order_acquire) != count; spins++) {
    if (spins < 4000) pause();
    else sched_yield();
  }
}

void Pool::work(int thread) {
  while (!stop_.load(std::memory_order_relaxed)) {
    bool found = false;
    for (int spins = 0; spins < 6000 && !found; spins++) {
      found = claim_and_run(thread);
      if (!found) pause();
    }
    if (found) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [this] { return stop_.load() || has_work(); });
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

}  // namespace lodestone

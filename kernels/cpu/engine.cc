#include "engine.h"

#include <string.h>

#include <future>
#include <new>
#include <optional>
#include <utility>

namespace lodestone {

void CommandsJob::run(Executor& executor) { executor.run(commands, &cancelled, &error); }

void CopyJob::run(Executor&) { memcpy(to, owned.empty() ? from : owned.data(), bytes); }

void LoadJob::run(Executor& executor) {
  if (!path.empty()) {
    std::shared_ptr<MappedFile>& file = (*files)[path];
    if (!file || !file->is_current(path)) file = MappedFile::open(path, &error);
    if (!file) {
      files->erase(path);
      return;
    }
    if (offset > file->bytes() || bytes > file->bytes() - offset) {
      error = "the file ends before the tensor does";
      return;
    }
    result.file = file;
    from.data = file->data() + offset;
  } else {
    from.data = data;
  }
  result.view = Weights{to, from.outputs, from.inputs, from.data};
  const bool same = from.format == to;
  if (same && result.file) return;  // computed on where it lies
  const size_t held = size_t(from.outputs * bytes_per_row(to, from.inputs));
  result.memory = Memory(held);
  if (!result.memory.data()) throw std::bad_alloc();
  if (same) memcpy(result.memory.data(), from.data, held);
  else executor.convert(from, to, result.memory.data(), &cancelled);
  result.view.data = result.memory.data();
  result.file.reset();
}

Engine::Engine(const Kernels& kernels, int threads, bool bf16_activations, std::function<void(std::unique_ptr<Job>)> on_done)
    : on_done_(std::move(on_done)) {
  std::promise<int> started;
  std::future<int> threads_started = started.get_future();
  // This thread comes before those of the pool, which can do without some.
  thread_ = std::thread([this, &kernels, threads, bf16_activations, started = std::move(started)]() mutable {
    std::optional<Executor> executor;
    try {
      executor.emplace(kernels, threads, bf16_activations);
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    started.set_value(executor->threads());
    work(*executor);
  });
  try {
    threads_ = threads_started.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

void Engine::add(std::unique_ptr<Job> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
}

bool Engine::idle() {
  std::lock_guard<std::mutex> lock(mutex_);
  return queue_.empty() && !running_;
}

void Engine::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    if (running_) running_->cancel();
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Engine::work(Executor& executor) {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
      running_ = job.get();
    }
    try {
      if (!job->is_cancelled()) job->run(executor);
    } catch (const std::bad_alloc&) {
      job->out_of_memory = true;
      job->error = "out of memory";
    } catch (const std::exception& failure) {
      job->error = failure.what();
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      running_ = nullptr;
    }
    on_done_(std::move(job));
  }
}

}  // namespace lodestone

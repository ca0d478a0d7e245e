#include "runtime/executor.h"

#include "runtime/error.h"

namespace hybridquant::runtime {

ThreadPool::ThreadPool(std::int64_t num_threads) {
  require(num_threads >= 1 && num_threads <= kMostThreads, "ThreadPool: num_threads must be 1 to ",
          kMostThreads, ", got ", num_threads);
  try {
    for (std::int64_t worker = 1; worker < num_threads; ++worker) {
      threads_.emplace_back([this, worker] { wait_for_work(worker); });
    }
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(std::int64_t count, const Task& task) {
  if (count == 1) return task(0);
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    running_ = static_cast<std::int64_t>(threads_.size());
    ++round_;
  }
  work_.notify_all();
  task(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return running_ == 0; });
}

void ThreadPool::wait_for_work(std::int64_t worker) {
  std::int64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return is_stopping_ || round_ != seen; });
    if (is_stopping_) return;
    seen = round_;
    if (worker < count_) {
      const Task& task = *task_;
      lock.unlock();
      task(worker);
      lock.lock();
    }
    if (--running_ == 0) done_.notify_one();
  }
}

}  // namespace hybridquant::runtime

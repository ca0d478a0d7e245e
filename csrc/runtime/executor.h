// Who runs the parts of a step: the caller's thread alone, a pool, or what the caller brings.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hybridquant::runtime {

using Task = std::function<void(std::int64_t index)>;

inline constexpr std::int64_t kMostThreads = 1024;

class Executor {
 public:
  virtual ~Executor() = default;

  // Tasks that may run at once, at least 1.
  [[nodiscard]] virtual std::int64_t num_workers() const = 0;

  // Runs task(0) to task(count - 1), count <= num_workers(), and returns when all are done. Tasks
  // do not throw.
  virtual void run(std::int64_t count, const Task& task) = 0;
};

class SerialExecutor final : public Executor {
 public:
  [[nodiscard]] std::int64_t num_workers() const override { return 1; }
  void run(std::int64_t count, const Task& task) override {
    for (std::int64_t i = 0; i < count; ++i) task(i);
  }
};

// Threads that wait for work. One caller at a time.
class ThreadPool final : public Executor {
 public:
  // The caller's thread is one of `num_threads`, 1 to kMostThreads. Throws ModelError where they
  // are others, std::system_error where they cannot be started.
  explicit ThreadPool(std::int64_t num_threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::int64_t num_workers() const override {
    return static_cast<std::int64_t>(threads_.size()) + 1;
  }
  void run(std::int64_t count, const Task& task) override;

 private:
  void wait_for_work(std::int64_t worker);
  void stop();

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  const Task* task_ = nullptr;
  std::int64_t count_ = 0;
  std::int64_t round_ = 0;    // of work, so that no thread does one twice
  std::int64_t running_ = 0;  // threads that have not done theirs
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hybridquant::runtime

#include "runtime/executor.h"

#include <gtest/gtest.h>

#include <atomic>

#include "runtime/error.h"

namespace hybridquant::runtime {
namespace {

// How often each task ran.
std::vector<int> counts_of(Executor& executor, std::int64_t count) {
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(count));
  executor.run(count, [&](std::int64_t index) { ++counts[static_cast<std::size_t>(index)]; });
  return {counts.begin(), counts.end()};
}

TEST(SerialExecutor, RunsEachTaskOnceInOrder) {
  SerialExecutor executor;
  EXPECT_EQ(executor.num_workers(), 1);
  std::vector<std::int64_t> order;
  executor.run(1, [&](std::int64_t index) { order.push_back(index); });
  EXPECT_EQ(order, std::vector<std::int64_t>({0}));
}

TEST(ThreadPool, RunsEachTaskOnce) {
  for (std::int64_t threads = 1; threads <= 6; ++threads) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_workers(), threads);
    for (int round = 0; round < 200; ++round) {
      const std::int64_t count = 1 + round % threads;
      ASSERT_EQ(counts_of(pool, count), std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
}

TEST(ThreadPool, RunsTasksAtOnce) {
  constexpr std::int64_t kThreads = 3;
  ThreadPool pool(kThreads);
  std::atomic<std::int64_t> arrived = 0;
  // Each waits for all: on one thread this would never end.
  pool.run(kThreads, [&](std::int64_t) {
    ++arrived;
    while (arrived < kThreads) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, kThreads);
}

TEST(ThreadPool, SeesWhatTheCallerWroteAndTheOtherWayRound) {
  ThreadPool pool(4);
  std::vector<int> values(4);
  for (int round = 1; round <= 500; ++round) {
    for (int& value : values) value = round;
    pool.run(4, [&](std::int64_t index) { values[static_cast<std::size_t>(index)] *= 2; });
    ASSERT_EQ(values, std::vector<int>(4, 2 * round));
  }
}

TEST(ThreadPool, StopsWithoutWork) {
  for (int i = 0; i < 50; ++i) const ThreadPool pool(3);
}

TEST(ThreadPool, RefusesWrongNumbersOfThreads) {
  for (const std::int64_t threads : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1025}}) {
    try {
      const ThreadPool pool(threads);
      FAIL() << threads;
    } catch (const ModelError& error) {
      EXPECT_EQ(error.what(), text("ThreadPool: num_threads must be 1 to 1024, got ", threads));
    }
  }
}

}  // namespace
}  // namespace hybridquant::runtime

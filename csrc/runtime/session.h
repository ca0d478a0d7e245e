// Runs a model: owns the memory that one run needs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/executor.h"
#include "runtime/model.h"

namespace hybridquant::runtime {

// The codes of a tensor after the node that computes it: row-major, of the tensor's type.
using Observer = std::function<void(std::size_t node, const TensorInfo& tensor,
                                    std::span<const std::byte> codes)>;

class Session {
 public:
  // `model` must outlive the session. num_threads is 1 to kMostThreads; it changes no result.
  // Throws ModelError where it is another number.
  explicit Session(const Model& model, std::int64_t num_threads = 1);
  // With threads of the caller's, who keeps `executor` alive.
  Session(const Model& model, Executor& executor);

  // Computes the logits of `count` images, each on its own. Any thread may call it; calls wait for
  // each other.
  // Throws ModelError where a function of the model, called by a run, calls the session again.
  // logits: [count, num_logits] codes. images: uint8 [count, channels, height, width].
  void run(std::int32_t* logits, const std::uint8_t* images, std::int64_t count);

  // Computes one image and shows every node's output to `observe`.
  void trace(const std::uint8_t* image, const Observer& observe);

  // Bytes that this session holds.
  [[nodiscard]] std::int64_t memory_bytes() const;

 private:
  struct Free {
    void operator()(std::byte* bytes) const;
  };
  using Bytes = std::unique_ptr<std::byte, Free>;

  static Bytes allocate(std::int64_t bytes);
  void prepare();
  // Waits for the run that goes on, and holds the session for the next.
  class Turn;
  void run_steps(const Memory& memory, std::size_t begin, std::size_t end);
  void run_step(const Memory& memory, const Step& step);

  const Model& model_;
  std::unique_ptr<Executor> own_executor_;
  Executor& executor_;
  std::int64_t scratch_stride_ = 0;  // from a worker's scratch to the next one's
  Bytes arena_;
  Bytes scratch_;
  std::mutex mutex_;
  std::atomic<std::thread::id> running_{};  // the thread of the run that goes on
};

}  // namespace hybridquant::runtime

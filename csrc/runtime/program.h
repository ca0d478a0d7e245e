// A model as a list of steps over buffers: what nodes compile to and sessions run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/view.h"

namespace hybridquant::runtime {

// Bytes that hold tensors: a constant, the image, or a part of the arena while some steps run.
struct Buffer {
  std::int64_t bytes;
  std::shared_ptr<const std::vector<std::byte>> constant;  // null where it is none
  bool is_image = false;
  // Filled by the planner; of the arena only.
  std::int64_t offset = -1;  // in the arena, in bytes
};

// Where the buffers of a program are while it runs.
class Memory {
 public:
  Memory(const std::vector<Buffer>& buffers, std::byte* arena, const std::byte* image)
      : buffers_(buffers), arena_(arena), image_(image) {}

  // Only the step that writes a buffer may write through it.
  [[nodiscard]] std::byte* at(int index) const {
    const Buffer& buffer = buffers_[static_cast<std::size_t>(index)];
    if (buffer.constant != nullptr) return const_cast<std::byte*>(buffer.constant->data());
    if (buffer.is_image) return const_cast<std::byte*>(image_);
    return arena_ + buffer.offset;
  }

 private:
  const std::vector<Buffer>& buffers_;
  std::byte* arena_;
  const std::byte* image_;
};

// A kernel with its arguments. Its items may be done in any order and at once.
struct Step {
  // Does the items [begin, end). `scratch` has scratch_bytes, aligned to 64.
  std::function<void(const Memory& memory, std::int64_t begin, std::int64_t end,
                     std::byte* scratch)>
      run;
  std::int64_t num_items;
  std::int64_t cost;  // operations of all items, roughly
  std::vector<int> reads;
  int writes;
  std::int64_t scratch_bytes = 0;
  // Buffers that it may write its result over, element by element as it reads them.
  std::vector<int> may_replace = {};
};

// A tensor in its buffer.
struct Value {
  int buffer;
  View view;
  CodeType type;
  std::int64_t zero_point;
  std::int64_t lowest;
  std::int64_t highest;

  // Largest magnitude of a code less the zero-point.
  [[nodiscard]] std::int64_t magnitude() const {
    return highest - zero_point > zero_point - lowest ? highest - zero_point : zero_point - lowest;
  }
};

struct Program {
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<std::size_t> last_step;  // of each node: the number of steps that are done after it
  std::vector<int> node_buffers;       // of each node: what holds its output when it is done
  std::vector<Value> tensors;          // of the graph, in its order
  Value result;                        // the output, row-major
  int num_copies = 0;                  // steps that only move codes
  std::int64_t arena_bytes = 0;
  std::int64_t scratch_bytes = 0;   // of one worker
  std::int64_t constant_bytes = 0;  // weights and tables
  std::int64_t cost = 0;            // operations of all steps, roughly
  // Largest sum of the bytes of two tensors, one of which is computed from the other.
  std::int64_t largest_pair_bytes = 0;
};

// Places the buffers of a program in one arena: buffers of steps that do not overlap share bytes.
void plan_memory(Program& program);

}  // namespace hybridquant::runtime

// A number added to exact sums. It rounds nothing, so it needs no kernel.
#include <limits>

#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max() >> 1;

template <typename T>
void add_to_all(std::byte* q, const std::byte* x, std::int64_t offset, std::int64_t begin,
                std::int64_t end) {
  const T* const from = reinterpret_cast<const T*>(x);
  T* const to = reinterpret_cast<T*>(q);
  for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(from[i] + offset);
}

void compile(Compiler& compiler) {
  Value x = compiler.inputs(1)[0];
  compiler.check_type(x, "the input", {CodeType::kInt32, CodeType::kInt64});
  compiler.check_output_type({x.type});
  const std::int64_t offset = compiler.attributes().get_int("offset", -kLargest, kLargest);
  const TensorInfo& output = compiler.output();
  require(x.lowest + offset >= output.lowest && x.highest + offset <= output.highest &&
              x.zero_point == output.zero_point,
          compiler.where(), ": the input's codes plus offset must be within the output's, ",
          output.lowest, " to ", output.highest, ", got ", x.lowest + offset, " to ",
          x.highest + offset);
  x = compiler.row_major_unless(is_dense(x.view), x);
  const Value y = compiler.allocate(like(x.view));
  const auto run = x.type == CodeType::kInt32 ? add_to_all<std::int32_t> : add_to_all<std::int64_t>;
  const std::int64_t size = num_elements(x.view.sizes);
  compiler.add({.run =
                    [=](const Memory& memory, std::int64_t begin, std::int64_t end, std::byte*) {
                      run(start_of(memory, y), start_of(memory, x), offset, begin, end);
                    },
                .num_items = size,
                .cost = size,
                .reads = {x.buffer},
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_add_constant(NodeRegistry& nodes) { nodes["add_constant"] = compile; }

}  // namespace hybridquant::runtime

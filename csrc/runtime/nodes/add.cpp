// Two tensors on one grid: add, maximum, minimum.
#include "kernels/add_codes.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

using kernels::Join;

constexpr std::int64_t kLargestCentred = std::int64_t{1} << 30;
constexpr std::int64_t kLargestM = (std::int64_t{1} << 31) - 1;

void compile_join(Compiler& compiler, Join join) {
  const std::vector<Value> inputs = compiler.inputs(2);
  for (const Value& input : inputs) {
    compiler.check_type(input, "an input",
                        {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32});
    require(input.magnitude() <= kLargestCentred, compiler.where(),
            ": codes of inputs less their zero-points must be at most 2^30, got ",
            input.magnitude());
  }
  const auto m = compiler.attributes().get_ints("m", 2, -kLargestM, kLargestM);
  const std::int64_t shift = compiler.attributes().get_int("shift", 1, 62);
  const kernels::AddCodesArgs args{.q = {},
                                   .x = {},
                                   .y = {},
                                   .sizes = {},
                                   .join = join,
                                   .x_m = static_cast<std::int32_t>(m[0]),
                                   .y_m = static_cast<std::int32_t>(m[1]),
                                   .shift = static_cast<std::int32_t>(shift),
                                   .output = compiler.rounded_codes(false)};
  add_elementwise(compiler, args, kernels::add_codes, inputs);
}

}  // namespace

void register_add(NodeRegistry& nodes) {
  nodes["add"] = [](Compiler& compiler) { compile_join(compiler, Join::kSum); };
  nodes["maximum"] = [](Compiler& compiler) { compile_join(compiler, Join::kMaximum); };
  nodes["minimum"] = [](Compiler& compiler) { compile_join(compiler, Join::kMinimum); };
}

}  // namespace hybridquant::runtime

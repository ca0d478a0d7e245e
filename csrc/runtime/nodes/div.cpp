// Element-wise quotients.
#include "kernels/div_codes.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargestM = (std::int64_t{1} << 15) - 1;
constexpr std::int64_t kLargestDividend = std::int64_t{1} << 46;

void compile(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs(2);
  const std::int64_t m = compiler.attributes().get_int("m", -kLargestM, kLargestM);
  const std::int64_t shift = compiler.attributes().get_int("shift", 0, 30);
  require(inputs[0].magnitude() < kLargestDividend, compiler.where(),
          ": dividends must be below 2^46, got ", inputs[0].magnitude());
  require(inputs[1].magnitude() < (std::int64_t{1} << 61) >> shift, compiler.where(),
          ": divisors times 2^shift must be below 2^61, got ", inputs[1].magnitude(), " and shift ",
          shift);
  const kernels::DivCodesArgs args{
      .q = {},
      .x = {},
      .y = {},
      .sizes = {},
      .by = {static_cast<std::int32_t>(m), static_cast<std::int32_t>(shift)},
      .output = compiler.output_codes()};
  for (const Value& input : inputs) {
    require(input.zero_point >= -kLargestM && input.zero_point <= 2 * kLargestM, compiler.where(),
            ": zero-points must have at most 16 bits, got ", input.zero_point);
  }
  add_elementwise(compiler, args, kernels::div_codes, inputs);
}

}  // namespace

void register_div(NodeRegistry& nodes) { nodes["div"] = compile; }

}  // namespace hybridquant::runtime

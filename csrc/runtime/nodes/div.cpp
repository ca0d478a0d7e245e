// Element-wise quotients.
#include "kernels/div_codes.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargestM = (std::int64_t{1} << 15) - 1;
constexpr std::int64_t kLargestDividend = std::int64_t{1} << 46;
constexpr std::int64_t kLargestDivisor = std::int64_t{1} << 31;

void compile(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs(2);
  const std::int64_t m = compiler.attributes().get_int("m", 0, kLargestM);
  const std::int64_t shift = compiler.attributes().get_int("shift", 0, 30);
  require(inputs[0].magnitude() < kLargestDividend, compiler.where(),
          ": dividends must be below 2^46, got ", inputs[0].magnitude());
  require(inputs[1].magnitude() < kLargestDivisor, compiler.where(),
          ": divisors less the zero-point must be below 2^31, got ", inputs[1].magnitude());
  const kernels::DivCodesArgs args{
      .q = {},
      .x = {},
      .y = {},
      .sizes = {},
      .by = {static_cast<std::int32_t>(m), static_cast<std::int32_t>(shift)},
      .output = compiler.output_codes()};
  add_elementwise(compiler, args, kernels::div_codes, inputs);
}

}  // namespace

void register_div(NodeRegistry& nodes) { nodes["div"] = compile; }

}  // namespace hybridquant::runtime

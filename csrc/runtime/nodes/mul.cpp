// Element-wise products.
#include "kernels/mul_codes.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kFewBits = 16;

void compile(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs(2);
  for (const Value& input : inputs) {
    compiler.check_type(input, "an input",
                        {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32});
    require(input.magnitude() < std::int64_t{1} << 31, compiler.where(),
            ": codes of inputs less their zero-points must be below 2^31, got ", input.magnitude());
  }
  const kernels::Multiplier by = compiler.attributes().get_multiplier();
  const std::int64_t limit = std::int64_t{1} << (by.shift < kFewBits ? 32 : 47);
  const std::int64_t x = inputs[0].magnitude();
  const std::int64_t y = inputs[1].magnitude();
  require(y == 0 || x <= (limit - 1) / y, compiler.where(), ": products must be below ", limit,
          " with shift ", by.shift, ", got inputs up to ", x, " and ", y);
  const kernels::MulCodesArgs args{
      .q = {}, .x = {}, .y = {}, .sizes = {}, .by = by, .output = compiler.rounded_codes()};
  add_elementwise(compiler, args, kernels::mul_codes, inputs);
}

}  // namespace

void register_mul(NodeRegistry& nodes) { nodes["mul"] = compile; }

}  // namespace hybridquant::runtime

// Changes of codes.
#include "kernels/requantize_codes.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kFewBits = 16;

void compile(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs(1);
  const Value& x = inputs[0];
  const kernels::Multiplier by = compiler.attributes().get_multiplier();
  const bool is_wide = x.type == CodeType::kInt64;
  const std::int64_t limit = std::int64_t{1} << (!is_wide ? 31 : by.shift < kFewBits ? 32 : 47);
  require(x.magnitude() < limit, compiler.where(), ": codes less the zero-point must be below ",
          limit, ", got ", x.magnitude());
  compiler.check_output(x.view.sizes);
  const kernels::RequantizeCodesArgs args{
      .q = {}, .x = {}, .sizes = {}, .by = by, .output = compiler.rounded_codes()};
  add_elementwise(compiler, args, kernels::requantize_codes, inputs);
}

}  // namespace

void register_requantize(NodeRegistry& nodes) { nodes["requantize"] = compile; }

}  // namespace hybridquant::runtime

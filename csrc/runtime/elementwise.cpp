#include "runtime/elementwise.h"

namespace hybridquant::runtime {

Value broadcast_to_output(const Compiler& compiler, const Value& value, const char* what) {
  const Shape& shape = compiler.output().shape;
  const Shape& sizes = value.view.sizes;
  bool fits = sizes.size() <= shape.size();
  for (std::size_t i = 1; fits && i <= sizes.size(); ++i) {
    const std::int64_t size = sizes[sizes.size() - i];
    fits = size == 1 || size == shape[shape.size() - i];
  }
  require(fits, compiler.where(), ": ", what, " of shape ", list_text(sizes),
          " must broadcast to the output's shape ", list_text(shape));
  Value result = value;
  result.view = expanded(value.view, shape);
  return result;
}

Value allocate_like(Compiler& compiler, const std::vector<Value>& inputs) {
  const Shape& shape = compiler.output().shape;
  for (const Value& input : inputs) {
    if (input.view.sizes == shape) return compiler.allocate(like(input.view));
  }
  return compiler.allocate(row_major(shape));
}

std::vector<int> replaceable(const Value& output, const std::vector<Value>& inputs) {
  const auto is_same = [](const View& a, const View& b) {
    return a.sizes == b.sizes && a.strides == b.strides && a.offset == b.offset;
  };
  std::vector<int> buffers;
  for (const Value& input : inputs) {
    bool is_good = input.type == output.type;
    for (const Value& other : inputs) {
      is_good = is_good && (other.buffer != input.buffer || is_same(other.view, output.view));
    }
    if (is_good) buffers.push_back(input.buffer);
  }
  return buffers;
}

kernels::InputCodes input_codes(const Compiler& compiler, const Value& value, const Axes& strides) {
  require(value.zero_point >= lowest_of(CodeType::kInt32) &&
              value.zero_point <= highest_of(CodeType::kInt32),
          compiler.where(), ": an input's zero-point must have at most 32 bits, got ",
          value.zero_point);
  kernels::InputCodes codes{.data = nullptr,
                            .type = value.type,
                            .zero_point = static_cast<std::int32_t>(value.zero_point),
                            .strides = {}};
  std::copy(strides.begin(), strides.end(), codes.strides);
  return codes;
}

kernels::OutputView output_view(const Value& value, const Axes& strides) {
  kernels::OutputView view{.data = nullptr, .type = value.type, .strides = {}};
  std::copy(strides.begin(), strides.end(), view.strides);
  return view;
}

}  // namespace hybridquant::runtime

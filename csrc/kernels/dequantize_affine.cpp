#include "kernels/dequantize_affine.h"

namespace hybridquant::kernels {

namespace {

template <typename Code>
void dequantize(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  const Code* const q = static_cast<const Code*>(args.q);
  const AffineLayout& layout = args.layout;
  if (begin >= end) return;
  const std::int64_t stop = first_element(layout, end);
  for (std::int64_t i = first_element(layout, begin); i < stop; ++i) {
    const std::int64_t c = i / layout.inner % layout.channels;
    args.x[i] = (static_cast<float>(q[i]) - args.table.zero_point[c]) * args.table.scale[c];
  }
}

}  // namespace

void dequantize_affine_ref(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.code_type == CodeType::kUInt8) return dequantize<std::uint8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt8) return dequantize<std::int8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt16) return dequantize<std::int16_t>(args, begin, end);
  dequantize<std::int32_t>(args, begin, end);
}

}  // namespace hybridquant::kernels

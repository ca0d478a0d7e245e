#include "kernels/quantize_affine.h"

#include <algorithm>
#include <cmath>

#include "kernels/float16.h"

namespace hybridquant::kernels {

namespace {

template <typename T, typename Code>
void quantize(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  Code* const q = static_cast<Code*>(args.q);
  const AffineTable& table = args.table;
  const AffineLayout& layout = args.layout;
  if (begin >= end) return;
  const std::int64_t stop = first_element(layout, end);
  for (std::int64_t i = first_element(layout, begin); i < stop; ++i) {
    const std::int64_t c = i / layout.inner % layout.channels;
    const float z = table.zero_point[c];
    const float code = std::nearbyint(to_float(x[i]) * table.inverse_scale[c]) + z;
    const float clamped = std::clamp(code, table.lowest[c] + z, table.highest[c] + z);
    q[i] = static_cast<Code>(std::isnan(code) ? z : clamped);
  }
}

template <typename T>
void quantize_from(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.code_type == CodeType::kUInt8) return quantize<T, std::uint8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt8) return quantize<T, std::int8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt16) return quantize<T, std::int16_t>(args, begin, end);
  quantize<T, std::int32_t>(args, begin, end);
}

}  // namespace

void quantize_affine_ref(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.type == FloatType::kFloat32) return quantize_from<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return quantize_from<BFloat16>(args, begin, end);
  quantize_from<Float16>(args, begin, end);
}

}  // namespace hybridquant::kernels

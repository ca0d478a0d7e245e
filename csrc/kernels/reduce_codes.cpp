#include "kernels/reduce_codes.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

std::int64_t joined(Reduction reduction, std::int64_t a, std::int64_t code) {
  if (reduction == Reduction::kMaximum) return std::max(a, code);
  return reduction == Reduction::kMinimum ? std::min(a, code) : a + code;
}

// The sum or extreme of the centred codes that begin at `first`.
std::int64_t reduced(const ReduceCodesArgs& args, std::int64_t first) {
  std::int64_t count = 1;
  for (const std::int64_t size : args.reduced_sizes) count *= size;
  assert(count > 0);
  std::int64_t a = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t position[kNumAxes];
    std::int64_t rest = i;
    for (int axis = kNumAxes - 1; axis >= 0; --axis) {
      position[axis] = rest % args.reduced_sizes[axis];
      rest /= args.reduced_sizes[axis];
    }
    const std::int64_t offset = first + offset_at(position, args.x_reduced_strides);
    const std::int64_t code = read_code(args.x.data, args.x.type, offset) - args.x.zero_point;
    a = i == 0 ? code : joined(args.reduction, a, code);
  }
  return a;
}

}  // namespace

void reduce_codes_ref(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end) {
  for_each_position(args.sizes, begin, end, [&](const std::int64_t* position) {
    const std::int64_t a = reduced(args, offset_at(position, args.x.strides));
    const std::int64_t result =
        args.by == nullptr ? a : requantize_bounded(a, *args.by, args.output.rounding);
    write_result(args.q, position, result, args.output);
  });
}

}  // namespace hybridquant::kernels

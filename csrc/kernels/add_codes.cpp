#include "kernels/add_codes.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

// |x̄| <= 2^30 and |m| < 2^31: a product is below 2^61, a sum of two and 2^61 below 2^63.
std::int64_t product(const InputCodes& x, const std::int64_t* position, std::int32_t m) {
  const std::int64_t code = centred_code(x, position);
  assert(code >= -(std::int64_t{1} << 30) && code <= std::int64_t{1} << 30);
  return code * m;
}

std::int64_t joined(Join join, std::int64_t x, std::int64_t y) {
  if (join == Join::kMaximum) return std::max(x, y);
  return join == Join::kMinimum ? std::min(x, y) : x + y;
}

}  // namespace

void add_codes_ref(const AddCodesArgs& args, std::int64_t begin, std::int64_t end) {
  assert(args.output.rounding != Rounding::kDouble);
  for_each_position(args.sizes, begin, end, [&](const std::int64_t* position) {
    const std::int64_t sum =
        joined(args.join, product(args.x, position, args.x_m), product(args.y, position, args.y_m));
    const std::int64_t result = args.output.rounding == Rounding::kSingle
                                    ? round_shift(sum, args.shift)
                                    : round_shift_half_even(sum, args.shift);
    write_result(args.q, position, result, args.output);
  });
}

}  // namespace hybridquant::kernels

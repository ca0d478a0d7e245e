#include "kernels/div_codes.h"

#include "kernels/reference.h"

namespace hybridquant::kernels {

void div_codes_ref(const DivCodesArgs& args, std::int64_t begin, std::int64_t end) {
  assert(args.by.shift >= 0 && args.by.shift <= 30);
  assert(args.by.m > -(1 << 15) && args.by.m < 1 << 15);
  for_each_position(args.sizes, begin, end, [&](const std::int64_t* position) {
    const std::int64_t x = centred_code(args.x, position);
    const std::int64_t y = centred_code(args.y, position);
    assert(x > -(std::int64_t{1} << 46) && x < std::int64_t{1} << 46);
    assert(y > -(std::int64_t{1} << 31) && y < std::int64_t{1} << 31);
    // |2 x m| < 2^62 and |y 2^(shift + 1)| < 2^62.
    write_result(args.q, position, requantize_quotient(x, y, args.by), args.output);
  });
}

}  // namespace hybridquant::kernels

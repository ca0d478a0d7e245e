#include "kernels/mul_codes.h"

#include "kernels/reference.h"

namespace hybridquant::kernels {

void mul_codes_ref(const MulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  for_each_position(args.sizes, begin, end, [&](const std::int64_t* position) {
    const std::int64_t product = centred_code(args.x, position) * centred_code(args.y, position);
    write_result(args.q, position, requantize_bounded(product, args.by, args.output.rounding),
                 args.output);
  });
}

}  // namespace hybridquant::kernels

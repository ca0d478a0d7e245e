#include "kernels/requantize_codes.h"

#include "kernels/reference.h"

namespace hybridquant::kernels {

void requantize_codes_ref(const RequantizeCodesArgs& args, std::int64_t begin, std::int64_t end) {
  for_each_position(args.sizes, begin, end, [&](const std::int64_t* position) {
    const std::int64_t x = centred_code(args.x, position);
    write_result(args.q, position, requantize_bounded(x, args.by, args.output.rounding),
                 args.output);
  });
}

}  // namespace hybridquant::kernels

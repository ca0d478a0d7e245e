#include "kernels/map_codes.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

void map_codes_ref(const MapCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t entries = args.x_type == CodeType::kInt16 ? 65536 : 256;
  const std::int64_t stop = std::min(end * kRunSize, args.size);
  for (std::int64_t i = begin * kRunSize; i < stop; ++i) {
    const std::int64_t entry = read_code(args.x, args.x_type, i) - smallest_code(args.x_type);
    const std::int64_t row = i % args.channels;
    write_code(args.q, args.q_type, i, read_code(args.table, args.q_type, row * entries + entry));
  }
}

}  // namespace hybridquant::kernels

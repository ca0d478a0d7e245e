#include "kernels/normalize_codes.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

std::int32_t bit_length(Int128 v) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  return high > 0 ? 64 + kernels::bit_length(high)
                  : kernels::bit_length(static_cast<std::uint64_t>(v));
}

// The codes of one group of one image.
class Group {
 public:
  Group(const NormalizeArgs& args, std::int64_t block)
      : args_(args), image_(block / args.groups), first_(block % args.groups * args.channels) {}

  [[nodiscard]] std::int64_t x(std::int64_t pixel, std::int64_t channel) const {
    const std::int64_t row = image_ * args_.x_image_stride + pixel * args_.x_pixel_stride;
    return read_code(args_.x, args_.x_type, row + first_ + channel);
  }

  void set(std::int64_t pixel, std::int64_t channel, std::int64_t v) const {
    const std::int64_t row = image_ * args_.y_image_stride + pixel * args_.y_pixel_stride;
    const std::int64_t c = first_ + channel;
    const std::int64_t result = round_shift(v * args_.m[c] + args_.beta[c], args_.shift);
    const OutputCodes& codes = args_.codes;
    write_code(args_.y, args_.y_type, row + c,
               clamp_code(codes.zero_point + result, codes.lowest, codes.highest));
  }

  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::int64_t pixel = 0; pixel < args_.pixels; ++pixel) {
      for (std::int64_t c = 0; c < args_.channels; ++c) visit(pixel, c);
    }
  }

 private:
  const NormalizeArgs& args_;
  std::int64_t image_;
  std::int64_t first_;  // channel
};

void normalize_group(const NormalizeArgs& args, const Group& group) {
  const std::int64_t z = args.norm == Norm::kLayer ? 0 : args.zero_point;
  const std::int64_t n = args.norm == Norm::kL2 ? 1 : args.pixels * args.channels;
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  group.for_each([&](std::int64_t pixel, std::int64_t c) {
    const std::int64_t x = group.x(pixel, c) - z;
    sum += x;
    squares += x * x;
  });
  if (args.norm != Norm::kLayer) sum = 0;
  const Int128 spread = Int128{n} * squares - Int128{sum} * sum;
  const Int128 v = args.norm == Norm::kL2 ? std::max(spread, Int128{args.epsilon})
                                          : spread + Int128{args.epsilon};
  const std::int32_t g = (62 - bit_length(v)) >> 1;
  const Int128 scaled = g >= 0 ? v << (2 * g) : v >> (-2 * g);
  const Int128 reciprocal = (std::int64_t{1} << 61) /
                            static_cast<std::int64_t>(isqrt(static_cast<std::uint64_t>(scaled)));
  group.for_each([&](std::int64_t pixel, std::int64_t c) {
    const std::int64_t difference = n * (group.x(pixel, c) - z) - sum;
    group.set(pixel, c,
              static_cast<std::int64_t>(round_shift_wide(difference * reciprocal, 41 - g)));
  });
}

}  // namespace

void normalize_codes_ref(const NormalizeArgs& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t block = begin; block < end; ++block) normalize_group(args, Group(args, block));
}

}  // namespace hybridquant::kernels

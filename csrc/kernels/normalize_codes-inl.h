// Included inside a target's namespace; see targets/all-inl.h.

inline constexpr std::int64_t kNormalizeChunk = 256;

// Added before unsigned shifts, which are vectorised everywhere, and taken off after them: shifted
// by at most 62 it stays whole.
inline constexpr std::uint64_t kShiftBias = std::uint64_t{1} << 62;

template <typename X>
static void add_sums(std::int64_t& sum, std::int64_t& squares, const X* x, std::int64_t n) {
  // 2^15 squares of 8 bits are below 2^31.
  using Squares = std::conditional_t<sizeof(X) == 1, std::int32_t, std::int64_t>;
  constexpr std::int64_t kCount = 1 << 15;
  for (std::int64_t start = 0; start < n; start += kCount) {
    const std::int64_t stop = n - start < kCount ? n : start + kCount;
    std::int32_t part = 0;
    Squares part_squares = 0;
    for (std::int64_t i = start; i < stop; ++i) {
      const std::int32_t code = x[i];
      part += code;
      part_squares += code * code;
    }
    sum += part;
    squares += part_squares;
  }
}

// What the codes of a group have in common: v = ((n x - offset) reciprocal + 2^(shift-1)) >> shift.
struct NormalizeFactors {
  std::int64_t n;
  std::int64_t offset;
  std::int32_t reciprocal;
  std::int32_t shift;
};

static inline std::int32_t bit_length_wide(Int128 v) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  return high > 0 ? 64 + bit_length(high) : bit_length(static_cast<std::uint64_t>(v));
}

static NormalizeFactors find_factors(const NormalizeArgs& args, std::int64_t sum,
                                     std::int64_t squares) {
  std::int64_t n = args.pixels * args.channels;
  const std::int64_t z = args.zero_point;
  // Of x - z, from those of x.
  const std::int64_t centred = squares - 2 * z * sum + n * z * z;
  Int128 v = Int128{n} * centred + args.epsilon;
  std::int64_t offset = n * z;
  if (args.norm == Norm::kLayer) {
    v = Int128{n} * squares - Int128{sum} * sum + args.epsilon;
    offset = sum;
  }
  if (args.norm == Norm::kL2) {
    v = centred < args.epsilon ? args.epsilon : centred;
    n = 1;
    offset = z;
  }
  assert(args.epsilon >= 1 && v >= 1);
  const std::int32_t g = (62 - bit_length_wide(v)) >> 1;
  const std::uint64_t root =
      isqrt(static_cast<std::uint64_t>(g >= 0 ? v << (2 * g) : v >> (-2 * g)));
  const std::uint64_t reciprocal = (std::uint64_t{1} << 61) / root;
  // 2^31 does not fit; half of it shifted by one less is the same.
  const std::int32_t is_largest = reciprocal == std::uint64_t{1} << 31 ? 1 : 0;
  return {n, offset, static_cast<std::int32_t>(reciprocal >> is_largest), 41 - g - is_largest};
}

// |n x - offset| < 2^31.
template <typename X>
static void normalize_chunk(std::int32_t* __restrict values, const X* __restrict x,
                            std::int64_t count, const NormalizeFactors& by) {
  const auto n = static_cast<std::int32_t>(by.n);
  const auto offset = static_cast<std::int32_t>(by.offset);
  const std::int32_t reciprocal = by.reciprocal;
  const std::int32_t shift = by.shift;
  const std::uint64_t added = kShiftBias + (std::uint64_t{1} << (shift - 1));
  const auto bias = static_cast<std::uint32_t>(kShiftBias >> shift);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t difference = x[i] * n - offset;
    const std::int64_t product = std::int64_t{difference} * reciprocal;
    const std::uint64_t shifted = (static_cast<std::uint64_t>(product) + added) >> shift;
    values[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(shifted) - bias);
  }
}

// The same where n x - offset takes up to 37 bits.
template <typename X>
static void normalize_chunk_wide(std::int32_t* __restrict values, const X* __restrict x,
                                 std::int64_t count, const NormalizeFactors& by) {
  for (std::int64_t i = 0; i < count; ++i) {
    const Int128 product = Int128{x[i] * by.n - by.offset} * by.reciprocal;
    values[i] = static_cast<std::int32_t>(round_shift_wide(product, by.shift));
  }
}

// results[i] = (values[i] m[i] + beta[i] + 2^(shift-1)) >> shift, between the limits. |values| <=
// 2^30, so that |v m + beta| < 2^62.
static void apply_affine(std::int32_t* __restrict results, const std::int32_t* __restrict values,
                         const std::int32_t* __restrict m, const std::int64_t* __restrict beta,
                         std::int64_t count, std::int32_t shift, const OutputCodes& codes) {
  const std::uint64_t added = kShiftBias + (std::uint64_t{1} << (shift - 1));
  const auto bias = static_cast<std::int64_t>(kShiftBias >> shift);
  const std::int64_t lowest = bias + codes.lowest - codes.zero_point;
  const std::int64_t highest = bias + codes.highest - codes.zero_point;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t sum = std::int64_t{values[i]} * m[i] + beta[i];
    const auto shifted =
        static_cast<std::int64_t>((static_cast<std::uint64_t>(sum) + added) >> shift);
    const std::int64_t at_most = shifted > highest ? highest : shifted;
    results[i] = static_cast<std::int32_t>((at_most < lowest ? lowest : at_most) - bias);
  }
}

template <typename X>
static void normalize_group(const NormalizeArgs& args, std::int64_t block) {
  const std::int64_t image = block / args.groups;
  const std::int64_t first = block % args.groups * args.channels;
  const X* const x = static_cast<const X*>(args.x) + image * args.x_image_stride + first;
  const std::int64_t y = image * args.y_image_stride + first;
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  for (std::int64_t pixel = 0; pixel < args.pixels; ++pixel) {
    add_sums(sum, squares, x + pixel * args.x_pixel_stride, args.channels);
  }
  const NormalizeFactors by = find_factors(args, sum, squares);
  const bool is_wide = sizeof(X) == 2 && by.n > std::int64_t{1} << 15;
  for (std::int64_t pixel = 0; pixel < args.pixels; ++pixel) {
    const X* const row = x + pixel * args.x_pixel_stride;
    for (std::int64_t c = 0; c < args.channels; c += kNormalizeChunk) {
      const std::int64_t left = args.channels - c;
      const std::int64_t count = left < kNormalizeChunk ? left : kNormalizeChunk;
      std::int32_t values[kNormalizeChunk];
      std::int32_t results[kNormalizeChunk];
      if (is_wide) {
        normalize_chunk_wide(values, row + c, count, by);
      } else {
        normalize_chunk(values, row + c, count, by);
      }
      apply_affine(results, values, args.m + first + c, args.beta + first + c, count, args.shift,
                   args.codes);
      clamp_results(args.y, args.y_type, y + pixel * args.y_pixel_stride + c, results, count,
                    args.codes);
    }
  }
}

static void normalize_codes(const NormalizeArgs& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t block = begin; block < end; ++block) {
    if (args.x_type == CodeType::kUInt8) {
      normalize_group<std::uint8_t>(args, block);
    } else if (args.x_type == CodeType::kInt8) {
      normalize_group<std::int8_t>(args, block);
    } else {
      normalize_group<std::int16_t>(args, block);
    }
  }
}

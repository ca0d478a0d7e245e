// The inner loops of every matrix product. Included inside a target's namespace; see
// targets/all-inl.h.

// tile[i][j] = sum over k of a[i][k] * b[j][k], for k in [0, depth), a multiple of kGemmDepth.
// Sums of int16 products over neighbouring k become one instruction.
template <std::int64_t kRows, typename Sum, typename Panel>
static inline void multiply_tile(Sum (&tile)[kGemmTile][kGemmTile], const Panel* __restrict a,
                                 const Panel* __restrict b, std::int64_t stride,
                                 std::int64_t depth) {
  Sum sums[kRows][kGemmTile] = {};
  const std::int64_t whole = depth / kGemmDepth * kGemmDepth;  // tells the compiler: no rest
  for (std::int64_t k = 0; k < whole; ++k) {
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (std::int64_t j = 0; j < kGemmTile; ++j) {
        sums[i][j] += static_cast<Sum>(a[i * stride + k]) * static_cast<Sum>(b[j * stride + k]);
      }
    }
  }
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kGemmTile; ++j) tile[i][j] = sums[i][j];
  }
}

template <std::int64_t kRows, typename Sum, typename Acc, typename Panel>
static inline void add_tile(Acc* __restrict acc, const Panel* __restrict a,
                            const Panel* __restrict b, std::int64_t stride, std::int64_t depth) {
  Sum tile[kGemmTile][kGemmTile];
  multiply_tile<kRows>(tile, a, b, stride, depth);
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kGemmTile; ++j) {
      acc[i * kGemmColumns + j] += static_cast<Acc>(tile[i][j]);
    }
  }
}

// acc[i][j] += sum over k of a[i][k] * b[j][k].
// acc: [rows, kGemmColumns]; a: [rows, depth]; b: [columns padded to kGemmTile, depth]; depth is a
// multiple of kGemmDepth. Acc is uint32, where sums may leave int32 on the way and come back, or
// int64. Sums of at most `chunk` products, a multiple of kGemmDepth, fit Sum.
template <typename Sum, typename Acc, typename Panel>
static void add_products(Acc* __restrict acc, const Panel* __restrict a, const Panel* __restrict b,
                         std::int64_t rows, std::int64_t columns, std::int64_t depth,
                         std::int64_t chunk) {
  for (std::int64_t k = 0; k < depth; k += chunk) {
    const std::int64_t count = depth - k < chunk ? depth - k : chunk;
    for (std::int64_t j = 0; j < columns; j += kGemmTile) {
      const Panel* const b_tile = b + j * depth + k;
      std::int64_t i = 0;
      for (; i + kGemmTile <= rows; i += kGemmTile) {
        add_tile<kGemmTile, Sum>(acc + i * kGemmColumns + j, a + i * depth + k, b_tile, depth,
                                 count);
      }
      for (; i < rows; ++i) {
        add_tile<1, Sum>(acc + i * kGemmColumns + j, a + i * depth + k, b_tile, depth, count);
      }
    }
  }
}

static inline std::int32_t as_signed(std::uint32_t acc) { return static_cast<std::int32_t>(acc); }
static inline std::int64_t as_signed(std::int64_t acc) { return acc; }

template <Rounding kRounding, typename Code, typename Acc>
static void requantize_loop(Code* __restrict y, const Acc* __restrict acc, std::int64_t count,
                            const Multiplier* __restrict multipliers, OutputCodes codes) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t result = requantize(as_signed(acc[i]), multipliers[i], kRounding);
    y[i] = static_cast<Code>(clamp_code(codes.zero_point + result, codes.lowest, codes.highest));
  }
}

template <typename Code, typename Acc>
static void requantize_as(void* y, const Acc* acc, std::int64_t count,
                          const Multiplier* multipliers, const OutputCodes& codes) {
  Code* const q = static_cast<Code*>(y);
  switch (codes.rounding) {
    case Rounding::kSingle:
      return requantize_loop<Rounding::kSingle>(q, acc, count, multipliers, codes);
    case Rounding::kHalfEven:
      return requantize_loop<Rounding::kHalfEven>(q, acc, count, multipliers, codes);
    case Rounding::kDouble:
      return requantize_loop<Rounding::kDouble>(q, acc, count, multipliers, codes);
  }
}

template <typename Value, typename Acc>
static void copy_as(void* y, const Acc* acc, std::int64_t count) {
  Value* const out = static_cast<Value*>(y);
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<Value>(as_signed(acc[i]));
}

// Writes `count` accumulators to y: as codes, or as they are where multipliers is null.
// y: [count] of type; multipliers: [count].
template <typename Acc>
static void store_results(void* y, CodeType type, const Acc* acc, std::int64_t count,
                          const Multiplier* multipliers, const OutputCodes& codes) {
  if (multipliers == nullptr) {
    if (type == CodeType::kInt32) return copy_as<std::int32_t>(y, acc, count);
    return copy_as<std::int64_t>(y, acc, count);
  }
  if (type == CodeType::kUInt8) {
    return requantize_as<std::uint8_t>(y, acc, count, multipliers, codes);
  }
  if (type == CodeType::kInt8) return requantize_as<std::int8_t>(y, acc, count, multipliers, codes);
  if (type == CodeType::kInt16) {
    return requantize_as<std::int16_t>(y, acc, count, multipliers, codes);
  }
  requantize_as<std::int32_t>(y, acc, count, multipliers, codes);
}

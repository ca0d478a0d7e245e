// What element-wise kernels do with one run of codes: widen, round, narrow. Every type becomes
// int32 or int64 in a small buffer, so that no kernel is compiled for each combination of types.
// Included inside a target's namespace; see targets/all-inl.h.

// Calls visit(offsets, count) for the runs [begin, end) of a view: the offset of the run's first
// element in each operand.
template <int kOperands, typename Visit>
static inline void for_each_run(const std::int64_t* sizes,
                                const std::int64_t* const (&strides)[kOperands], std::int64_t begin,
                                std::int64_t end, Visit visit) {
  if (begin >= end) return;
  constexpr int kLast = kNumAxes - 1;
  const std::int64_t per_row = runs_per_row(sizes[kLast]);
  std::int64_t position[kNumAxes];  // its last coordinate counts runs
  position[kLast] = begin % per_row;
  std::int64_t row = begin / per_row;
  for (int axis = kLast - 1; axis >= 0; --axis) {
    position[axis] = row % sizes[axis];
    row /= sizes[axis];
  }
  for (std::int64_t run = begin; run < end; ++run) {
    const std::int64_t start = position[kLast] * kRunSize;
    const std::int64_t left = sizes[kLast] - start;
    std::int64_t offsets[kOperands];
    for (int k = 0; k < kOperands; ++k) {
      offsets[k] = start * strides[k][kLast];
      for (int axis = 0; axis < kLast; ++axis) offsets[k] += position[axis] * strides[k][axis];
    }
    visit(offsets, left < kRunSize ? left : kRunSize);
    ++position[kLast];
    for (int axis = kLast; axis > 0; --axis) {
      if (position[axis] < (axis == kLast ? per_row : sizes[axis])) break;
      position[axis] = 0;
      ++position[axis - 1];
    }
  }
}

template <typename Wide, typename Code>
static inline void centre(const Code* __restrict x, std::int64_t stride, std::int64_t n,
                          Wide zero_point, Wide* __restrict out) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<Wide>(x[i]) - zero_point;
  } else if (stride == 0) {
    const Wide same = static_cast<Wide>(x[0]) - zero_point;
    for (std::int64_t i = 0; i < n; ++i) out[i] = same;
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<Wide>(x[i * stride]) - zero_point;
  }
}

// The centred codes of a run that begins at `offset`. Wide is int32, or int64 for every type.
template <typename Wide>
static inline void load_centred(const InputCodes& x, std::int64_t offset, std::int64_t n,
                                Wide* out) {
  const std::int64_t stride = x.strides[kNumAxes - 1];
  const Wide z = x.zero_point;
  switch (x.type) {
    case CodeType::kUInt8:
      return centre(static_cast<const std::uint8_t*>(x.data) + offset, stride, n, z, out);
    case CodeType::kInt8:
      return centre(static_cast<const std::int8_t*>(x.data) + offset, stride, n, z, out);
    case CodeType::kInt16:
      return centre(static_cast<const std::int16_t*>(x.data) + offset, stride, n, z, out);
    case CodeType::kInt32:
      return centre(static_cast<const std::int32_t*>(x.data) + offset, stride, n, z, out);
    case CodeType::kInt64:
      break;
  }
  assert(sizeof(Wide) == sizeof(std::int64_t));
  if constexpr (sizeof(Wide) == sizeof(std::int64_t)) {
    centre(static_cast<const std::int64_t*>(x.data) + offset, stride, n, z, out);
  }
}

template <typename Code>
static inline void narrow(const std::int32_t* __restrict codes, std::int64_t stride, std::int64_t n,
                          Code* __restrict q) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) q[i] = static_cast<Code>(codes[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) q[i * stride] = static_cast<Code>(codes[i]);
  }
}

// Writes a run of codes, which fit the type.
static inline void store_codes(const OutputView& q, std::int64_t offset, std::int64_t n,
                               const std::int32_t* codes) {
  const std::int64_t stride = q.strides[kNumAxes - 1];
  switch (q.type) {
    case CodeType::kUInt8:
      return narrow(codes, stride, n, static_cast<std::uint8_t*>(q.data) + offset);
    case CodeType::kInt8:
      return narrow(codes, stride, n, static_cast<std::int8_t*>(q.data) + offset);
    case CodeType::kInt16:
      return narrow(codes, stride, n, static_cast<std::int16_t*>(q.data) + offset);
    case CodeType::kInt32:
      return narrow(codes, stride, n, static_cast<std::int32_t*>(q.data) + offset);
    case CodeType::kInt64:
      return narrow(codes, stride, n, static_cast<std::int64_t*>(q.data) + offset);
  }
}

// The clamp of results before the zero-point is added.
struct ResultRange {
  std::int64_t lowest, highest;
  std::int32_t zero_point;
};

static inline ResultRange range_of(const OutputCodes& codes) {
  return {std::int64_t{codes.lowest} - codes.zero_point,
          std::int64_t{codes.highest} - codes.zero_point, codes.zero_point};
}

static inline std::int32_t to_code(std::int64_t result, const ResultRange& range) {
  result = result < range.lowest ? range.lowest : result;
  result = result > range.highest ? range.highest : result;
  return static_cast<std::int32_t>(result + range.zero_point);
}

// codes[i] = the code of sums[i] / 2^shift. |sums[i]| < 2^62.
static inline void round_sums(const std::int64_t* __restrict sums, std::int64_t n,
                              std::int32_t shift, const OutputCodes& output,
                              std::int32_t* __restrict codes) {
  const ResultRange range = range_of(output);
  if (output.rounding == Rounding::kSingle) {
    for (std::int64_t i = 0; i < n; ++i) codes[i] = to_code(round_shift(sums[i], shift), range);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    codes[i] = to_code(round_shift_half_even(sums[i], shift), range);
  }
}

// codes[i] = the code of a[i] * by.
static inline void requantize_run(const std::int32_t* __restrict a, std::int64_t n, Multiplier by,
                                  const OutputCodes& output, std::int32_t* __restrict codes) {
  const ResultRange range = range_of(output);
  if (output.rounding == Rounding::kSingle) {
    const std::int64_t m = by.m;
    for (std::int64_t i = 0; i < n; ++i) codes[i] = to_code(round_shift(a[i] * m, by.shift), range);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    codes[i] = to_code(requantize(a[i], by, output.rounding), range);
  }
}

// The same for |a[i]| < 2^47, below 2^32 where the shift is below 16. With a = high 2^16 + low, the
// product's last 16 bits are cut off first: |high m| < 2^62 and low m + 2^61 < 2^62 fit in 64 bits.
static inline void requantize_run(const std::int64_t* __restrict a, std::int64_t n, Multiplier by,
                                  const OutputCodes& output, std::int32_t* __restrict codes) {
  const ResultRange range = range_of(output);
  if (output.rounding == Rounding::kSingle && by.shift >= 16) {
    const std::int64_t m = by.m;
    const std::int64_t half = std::int64_t{1} << (by.shift - 1);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t high = static_cast<std::int32_t>(a[i] >> 16);
      const std::int64_t low = static_cast<std::int32_t>(a[i] & 0xFFFF);
      const std::int64_t rest = (low * m + half) >> 16;
      codes[i] = to_code((high * m + rest) >> (by.shift - 16), range);
    }
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    codes[i] = to_code(requantize(a[i], by, output.rounding), range);
  }
}

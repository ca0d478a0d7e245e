// Included inside a target's namespace; see targets/all-inl.h.

template <Reduction kReduction, typename Acc, typename Code>
static inline Acc reduce_two(Acc a, Code code) {
  if constexpr (kReduction == Reduction::kMaximum) return code > a ? code : a;
  if constexpr (kReduction == Reduction::kMinimum) return code < a ? code : a;
  return static_cast<Acc>(a + code);
}

// acc[i] takes in x[i * stride + k * step] for k in [0, count).
// acc: [n]. Neighbours together, four codes of each at a time: images with their channels last.
template <Reduction kReduction, typename Acc, typename Code>
static inline void reduce_columns(Acc* __restrict acc, const Code* __restrict x, std::int64_t n,
                                  std::int64_t stride, std::int64_t count, std::int64_t step) {
  // Four codes of 8 bits stay within 16.
  using Four = std::conditional_t<sizeof(Code) == 1 && sizeof(Acc) != 1, std::int16_t, Acc>;
  std::int64_t k = 0;
  for (; stride == 1 && k + 4 <= count; k += 4, x += 4 * step) {
    for (std::int64_t i = 0; i < n; ++i) {
      Four four = x[i];
      four = reduce_two<kReduction>(four, x[step + i]);
      four = reduce_two<kReduction>(four, x[2 * step + i]);
      four = reduce_two<kReduction>(four, x[3 * step + i]);
      acc[i] = reduce_two<kReduction>(acc[i], four);
    }
  }
  for (; k < count; ++k, x += step) {
    for (std::int64_t i = 0; i < n; ++i) acc[i] = reduce_two<kReduction>(acc[i], x[i * stride]);
  }
}

// The same, one result after the other: means of rows.
template <Reduction kReduction, typename Acc, typename Code>
static inline void reduce_rows(Acc* __restrict acc, const Code* __restrict x, std::int64_t n,
                               std::int64_t stride, std::int64_t count, std::int64_t step) {
  for (std::int64_t i = 0; i < n; ++i, x += stride) {
    Acc a = acc[i];
    if (step == 1) {
      for (std::int64_t k = 0; k < count; ++k) a = reduce_two<kReduction>(a, x[k]);
    } else {
      for (std::int64_t k = 0; k < count; ++k) a = reduce_two<kReduction>(a, x[k * step]);
    }
    acc[i] = a;
  }
}

// Fills acc: [n], the results of a run whose codes begin at x.
template <Reduction kReduction, typename Acc, typename Code>
static inline void reduce_run(const ReduceCodesArgs& args, Acc* acc, const Code* x,
                              std::int64_t n) {
  constexpr Acc kStart = kReduction == Reduction::kSum       ? 0
                         : kReduction == Reduction::kMaximum ? std::numeric_limits<Acc>::min()
                                                             : std::numeric_limits<Acc>::max();
  const std::int64_t stride = args.x.strides[kNumAxes - 1];
  const std::int64_t step = args.x_reduced_strides[kNumAxes - 1];
  const bool is_by_rows = n == 1 || (step == 1 && stride != 1);
  const std::int64_t* const strides[] = {args.x_reduced_strides};
  for (std::int64_t i = 0; i < n; ++i) acc[i] = kStart;
  for_each_run(args.reduced_sizes, strides, 0, num_runs(args.reduced_sizes),
               [&](const std::int64_t* offsets, std::int64_t count) {
                 const Code* const first = x + offsets[0];
                 if (is_by_rows) {
                   reduce_rows<kReduction>(acc, first, n, stride, count, step);
                 } else {
                   reduce_columns<kReduction>(acc, first, n, stride, count, step);
                 }
               });
}

// Acc holds codes less no zero-point, Wide those less `zero_point`, their common one.
template <Reduction kReduction, typename Code, typename Acc, typename Wide>
static void reduce_as(const ReduceCodesArgs& args, Wide zero_point, std::int64_t begin,
                      std::int64_t end) {
  const std::int64_t* const strides[] = {args.q.strides, args.x.strides};
  for_each_run(args.sizes, strides, begin, end, [&](const std::int64_t* offsets, std::int64_t n) {
    Acc acc[kRunSize];
    Wide a[kRunSize];
    std::int32_t codes[kRunSize];
    reduce_run<kReduction>(args, acc, static_cast<const Code*>(args.x.data) + offsets[1], n);
    for (std::int64_t i = 0; i < n; ++i) a[i] = static_cast<Wide>(acc[i]) - zero_point;
    if (args.by != nullptr) {
      requantize_run(a, n, *args.by, args.output, codes);
    } else {
      const ResultRange range = range_of(args.output);
      for (std::int64_t i = 0; i < n; ++i) codes[i] = to_code(a[i], range);
    }
    store_codes(args.q, offsets[0], n, codes);
  });
}

template <typename Code>
static void reduce_codes_of(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end) {
  using Wide = std::conditional_t<sizeof(Code) == 8, std::int64_t, std::int32_t>;
  if (args.reduction == Reduction::kMaximum) {
    return reduce_as<Reduction::kMaximum, Code, Code, Wide>(args, args.x.zero_point, begin, end);
  }
  if (args.reduction == Reduction::kMinimum) {
    return reduce_as<Reduction::kMinimum, Code, Code, Wide>(args, args.x.zero_point, begin, end);
  }
  std::int64_t count = 1;
  for (const std::int64_t size : args.reduced_sizes) count *= size;
  if constexpr (sizeof(Code) <= 2) {
    // 2^23 * 255 < 2^31 and 2^15 * 65535 < 2^31.
    constexpr std::int64_t kMost = std::int64_t{1} << (sizeof(Code) == 1 ? 23 : 15);
    if (count <= kMost) {
      return reduce_as<Reduction::kSum, Code, std::int32_t, std::int32_t>(
          args, static_cast<std::int32_t>(count * args.x.zero_point), begin, end);
    }
  }
  reduce_as<Reduction::kSum, Code, std::int64_t, std::int64_t>(args, count * args.x.zero_point,
                                                               begin, end);
}

static void reduce_codes(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end) {
  switch (args.x.type) {
    case CodeType::kUInt8:
      return reduce_codes_of<std::uint8_t>(args, begin, end);
    case CodeType::kInt8:
      return reduce_codes_of<std::int8_t>(args, begin, end);
    case CodeType::kInt16:
      return reduce_codes_of<std::int16_t>(args, begin, end);
    case CodeType::kInt32:
      return reduce_codes_of<std::int32_t>(args, begin, end);
    case CodeType::kInt64:
      return reduce_codes_of<std::int64_t>(args, begin, end);
  }
}

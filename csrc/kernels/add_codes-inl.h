// Included inside a target's namespace; see targets/all-inl.h.

static inline void join_run(const AddCodesArgs& args, const std::int32_t* __restrict x,
                            const std::int32_t* __restrict y, std::int64_t n,
                            std::int64_t* __restrict sums) {
  const std::int64_t x_m = args.x_m;
  const std::int64_t y_m = args.y_m;
  if (args.join == Join::kSum) {
    for (std::int64_t i = 0; i < n; ++i) sums[i] = x[i] * x_m + y[i] * y_m;
    return;
  }
  const bool is_maximum = args.join == Join::kMaximum;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t left = x[i] * x_m;
    const std::int64_t right = y[i] * y_m;
    sums[i] = (left < right) == is_maximum ? right : left;
  }
}

static void add_codes(const AddCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t* const strides[] = {args.q.strides, args.x.strides, args.y.strides};
  for_each_run(args.sizes, strides, begin, end, [&](const std::int64_t* offsets, std::int64_t n) {
    std::int32_t x[kRunSize];
    std::int32_t y[kRunSize];
    std::int64_t sums[kRunSize];
    load_centred(args.x, offsets[1], n, x);
    load_centred(args.y, offsets[2], n, y);
    join_run(args, x, y, n, sums);
    round_sums(sums, n, args.shift, args.output, x);
    store_codes(args.q, offsets[0], n, x);
  });
}

// Included inside a target's namespace; see targets/all-inl.h.

static void mul_codes(const MulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t* const strides[] = {args.q.strides, args.x.strides, args.y.strides};
  for_each_run(args.sizes, strides, begin, end, [&](const std::int64_t* offsets, std::int64_t n) {
    std::int32_t x[kRunSize];
    std::int32_t y[kRunSize];
    std::int64_t products[kRunSize];
    load_centred(args.x, offsets[1], n, x);
    load_centred(args.y, offsets[2], n, y);
    for (std::int64_t i = 0; i < n; ++i) products[i] = std::int64_t{x[i]} * y[i];
    requantize_run(products, n, args.by, args.output, x);
    store_codes(args.q, offsets[0], n, x);
  });
}

// Included inside a target's namespace; see targets/all-inl.h.

static void div_codes(const DivCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t* const strides[] = {args.q.strides, args.x.strides, args.y.strides};
  const ResultRange range = range_of(args.output);
  for_each_run(args.sizes, strides, begin, end, [&](const std::int64_t* offsets, std::int64_t n) {
    std::int64_t x[kRunSize];
    std::int64_t y[kRunSize];
    std::int32_t codes[kRunSize];
    load_centred(args.x, offsets[1], n, x);
    load_centred(args.y, offsets[2], n, y);
    for (std::int64_t i = 0; i < n; ++i) {
      codes[i] = to_code(requantize_quotient(x[i], y[i], args.by), range);
    }
    store_codes(args.q, offsets[0], n, codes);
  });
}

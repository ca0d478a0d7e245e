// Included inside a target's namespace; see targets/all-inl.h.

template <typename Wide>
static void requantize_as(const RequantizeCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t* const strides[] = {args.q.strides, args.x.strides};
  for_each_run(args.sizes, strides, begin, end, [&](const std::int64_t* offsets, std::int64_t n) {
    Wide x[kRunSize];
    std::int32_t codes[kRunSize];
    load_centred(args.x, offsets[1], n, x);
    requantize_run(x, n, args.by, args.output, codes);
    store_codes(args.q, offsets[0], n, codes);
  });
}

static void requantize_codes(const RequantizeCodesArgs& args, std::int64_t begin,
                             std::int64_t end) {
  if (args.x.type == CodeType::kInt64) return requantize_as<std::int64_t>(args, begin, end);
  requantize_as<std::int32_t>(args, begin, end);
}

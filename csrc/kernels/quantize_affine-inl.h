// Included inside a target's namespace; see targets/all-inl.h.

template <typename T, typename Code>
static void quantize(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  Code* const q = static_cast<Code*>(args.q);
  const auto op = [](const Affine& a, F32 v) {
    const F32 r = centred_code(a, v);
    return (r == r ? r : F32{}) + a.zero_point;  // no NaN reaches the conversion to an integer
  };
  for_each_stretch(args.layout, args.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, q + offset, x + offset);
                   });
}

template <typename T>
static void quantize_from(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.code_type == CodeType::kUInt8) return quantize<T, std::uint8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt8) return quantize<T, std::int8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt16) return quantize<T, std::int16_t>(args, begin, end);
  quantize<T, std::int32_t>(args, begin, end);
}

static void quantize_affine(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.type == FloatType::kFloat32) return quantize_from<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return quantize_from<BFloat16>(args, begin, end);
  quantize_from<Float16>(args, begin, end);
}

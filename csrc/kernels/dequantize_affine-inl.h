// Included inside a target's namespace; see targets/all-inl.h.

template <typename Code>
static void dequantize(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  const Code* const q = static_cast<const Code*>(args.q);
  const auto op = [](const Affine& a, F32 code) { return (code - a.zero_point) * a.scale; };
  for_each_stretch(args.layout, args.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, args.x + offset, q + offset);
                   });
}

static void dequantize_affine(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.code_type == CodeType::kUInt8) return dequantize<std::uint8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt8) return dequantize<std::int8_t>(args, begin, end);
  if (args.code_type == CodeType::kInt16) return dequantize<std::int16_t>(args, begin, end);
  dequantize<std::int32_t>(args, begin, end);
}

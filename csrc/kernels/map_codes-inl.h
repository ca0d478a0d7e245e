// Included inside a target's namespace; see targets/all-inl.h.

// `table` begins at the entry of code 0.
template <typename Out, typename In>
static void map_run(Out* q, const In* x, const Out* table, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) q[i] = table[x[i]];
}

template <typename Out, typename In>
static void map_channels(Out* q, const In* x, const Out* table, std::int64_t n,
                         std::int64_t channel, std::int64_t channels) {
  constexpr std::int64_t kEntries = std::int64_t{1} << (8 * sizeof(In));
  for (std::int64_t i = 0; i < n; ++i) {
    q[i] = table[channel * kEntries + x[i]];
    channel = channel + 1 == channels ? 0 : channel + 1;
  }
}

template <typename Out, typename In>
static void map_range(const MapCodesArgs& args, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kZero =
      static_cast<In>(-1) > 0 ? 0 : std::int64_t{1} << (8 * sizeof(In) - 1);
  const std::int64_t start = begin * kRunSize;
  const std::int64_t stop = end * kRunSize < args.size ? end * kRunSize : args.size;
  Out* const q = static_cast<Out*>(args.q) + start;
  const In* const x = static_cast<const In*>(args.x) + start;
  const Out* const table = static_cast<const Out*>(args.table) + kZero;
  if (args.channels == 1) return map_run(q, x, table, stop - start);
  map_channels(q, x, table, stop - start, start % args.channels, args.channels);
}

template <typename Out>
static void map_to(const MapCodesArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.x_type == CodeType::kUInt8) return map_range<Out, std::uint8_t>(args, begin, end);
  if (args.x_type == CodeType::kInt8) return map_range<Out, std::int8_t>(args, begin, end);
  map_range<Out, std::int16_t>(args, begin, end);
}

static void map_codes(const MapCodesArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.q_type == CodeType::kUInt8) return map_to<std::uint8_t>(args, begin, end);
  if (args.q_type == CodeType::kInt8) return map_to<std::int8_t>(args, begin, end);
  map_to<std::int16_t>(args, begin, end);
}

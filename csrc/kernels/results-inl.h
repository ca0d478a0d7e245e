// Results that become codes. Included inside a target's namespace; see targets/all-inl.h.

template <typename Code>
static void clamp_results_as(Code* q, const std::int32_t* results, std::int64_t n,
                             const OutputCodes& codes) {
  const std::int32_t lowest = codes.lowest;
  const std::int32_t highest = codes.highest;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t code = results[i] + codes.zero_point;
    const std::int32_t at_most = code > highest ? highest : code;
    q[i] = static_cast<Code>(at_most < lowest ? lowest : at_most);
  }
}

// q[start + i] = clamp(zero_point + results[i]) for i in [0, n). |results| < 2^30, |zero_point| <=
// 2^16, type uint8, int8 or int16.
static void clamp_results(void* q, CodeType type, std::int64_t start, const std::int32_t* results,
                          std::int64_t n, const OutputCodes& codes) {
  if (type == CodeType::kUInt8) {
    return clamp_results_as(static_cast<std::uint8_t*>(q) + start, results, n, codes);
  }
  if (type == CodeType::kInt8) {
    return clamp_results_as(static_cast<std::int8_t*>(q) + start, results, n, codes);
  }
  clamp_results_as(static_cast<std::int16_t*>(q) + start, results, n, codes);
}

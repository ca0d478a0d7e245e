// Included inside a target's namespace; see targets/all-inl.h.

// The exponentials of rows up to this long are looked up once.
inline constexpr std::int64_t kSoftmaxChunk = 1024;

// Entries of 32 bits are multiplied to 64, those of 64 to 128. kBits is the width of a row's
// factor.
template <typename Entry>
struct SoftmaxWidth {
  using Product = std::uint64_t;
  static constexpr std::int32_t kBits = 31;
};

template <>
struct SoftmaxWidth<std::uint64_t> {
  __extension__ using Product = unsigned __int128;
  static constexpr std::int32_t kBits = 61;
};

// m / (256 S) of a row as factor / 2^shift, rounded down: with bit lengths Lm of m and Ls of S,
// room = kBits - 1 - Lm + Ls gives factor < 2^kBits. As E <= S < 2^Ls and m < 2^24, the error of
// E factor / 2^shift is below E / 2^(room + 8) < 2^(Lm - kBits - 7) < 1.
template <typename Entry>
struct SoftmaxRow {
  using Product = typename SoftmaxWidth<Entry>::Product;

  Entry m;
  Entry sum;
  Entry factor;
  std::int32_t shift;

  SoftmaxRow(std::int32_t m_in, std::uint64_t sum_in)
      : m(static_cast<Entry>(m_in)), sum(static_cast<Entry>(sum_in)) {
    constexpr std::int32_t kBits = SoftmaxWidth<Entry>::kBits;
    const std::int32_t room = kBits - 1 - bit_length(m) + bit_length(sum);
    shift = room + 8 < 2 * kBits ? room + 8 : 2 * kBits;  // below it, E / 2^shift is tiny as well
    factor = static_cast<Entry>((Product{m} << (shift - 8)) / sum);
  }
};

// results[i] = (2 E m + 2^8 S) // (2^9 S): the guess from the row's factor is that or one less, and
// it is one less where E m / (2^8 S) + 1/2 reaches the next integer.
template <typename Entry>
static void softmax_divide(std::int32_t* __restrict results, const Entry* __restrict entries,
                           std::int64_t n, const SoftmaxRow<Entry>& row) {
  using Product = typename SoftmaxRow<Entry>::Product;
  const Entry m = row.m;
  const Entry sum = row.sum;
  const Entry factor = row.factor;
  const std::int32_t shift = row.shift;
  const Product half = Product{1} << (shift - 1);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto guess = static_cast<std::uint32_t>((Product{entries[i]} * factor + half) >> shift);
    const auto product = static_cast<std::int64_t>(std::uint64_t{entries[i]} * m);
    const auto next = static_cast<std::int64_t>((std::uint64_t{2 * guess + 1} * sum) << 7);
    results[i] = static_cast<std::int32_t>(guess) + (product >= next ? 1 : 0);
  }
}

// results[i] += 1 where E <= limit. Apart, because the compiler joins two limits into one scalar
// loop.
template <typename Entry>
[[gnu::noinline]] static void count_at_most(std::int32_t* __restrict results,
                                            const Entry* __restrict entries, std::int64_t n,
                                            Entry limit) {
  for (std::int64_t i = 0; i < n; ++i) results[i] += entries[i] <= limit ? 1 : 0;
}

// With r = (2 S + E) // (2 E), -log2 rounds up to j where r >= 2 for j = 1, and r >= 3 2^(j-2) for
// the others; r >= c is E <= 2 S // (2 c - 1).
template <typename Entry>
static void softmax_log2(std::int32_t* __restrict results, const Entry* __restrict entries,
                         std::int64_t n, std::uint64_t sum, std::int32_t levels) {
  for (std::int64_t i = 0; i < n; ++i) results[i] = 0;
  for (std::int32_t j = 1; j <= levels; ++j) {
    const std::uint64_t least = j == 1 ? 2 : std::uint64_t{3} << (j - 2);
    const std::uint64_t limit = 2 * sum / (2 * least - 1);
    constexpr Entry kLargest = static_cast<Entry>(-1);
    count_at_most(results, entries, n, limit > kLargest ? kLargest : static_cast<Entry>(limit));
  }
}

template <typename Q>
static Q largest_code(const Q* q, std::int64_t n) {
  Q largest = q[0];
  for (std::int64_t i = 1; i < n; ++i) largest = q[i] > largest ? q[i] : largest;
  return largest;
}

template <typename Q, typename Entry>
static void look_up(Entry* __restrict entries, const Q* __restrict q, std::int64_t n,
                    std::int32_t largest, const Entry* __restrict table, std::int32_t last) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t distance = largest - q[i];
    entries[i] = table[distance < last ? distance : last];
  }
}

template <typename Q, typename Entry>
static void softmax_row(const SoftmaxArgs& args, const Entry* table, std::int64_t r) {
  const Q* const q = static_cast<const Q*>(args.q) + r * args.q_stride;
  const auto last = static_cast<std::int32_t>(args.table_size - 1);
  const std::int64_t n = args.n;
  const std::int32_t largest = largest_code(q, n);
  const auto chunk_size = [=](std::int64_t start) {
    return n - start < kSoftmaxChunk ? n - start : kSoftmaxChunk;
  };
  Entry entries[kSoftmaxChunk];
  std::int32_t results[kSoftmaxChunk];
  std::uint64_t sum = 0;
  for (std::int64_t start = 0; start < n; start += kSoftmaxChunk) {
    const std::int64_t count = chunk_size(start);
    look_up(entries, q + start, count, largest, table, last);
    for (std::int64_t i = 0; i < count; ++i) sum += entries[i];
  }
  assert(sum > 0 && sum < std::uint64_t{1} << (sizeof(Entry) == 4 ? 32 : 53));
  const SoftmaxRow<Entry> row(args.m, sum);
  for (std::int64_t start = 0; start < n; start += kSoftmaxChunk) {
    const std::int64_t count = chunk_size(start);
    if (n > kSoftmaxChunk) look_up(entries, q + start, count, largest, table, last);
    if (args.is_log2) {
      softmax_log2(results, entries, count, sum, args.codes.highest - args.codes.zero_point);
    } else {
      softmax_divide(results, entries, count, row);
    }
    clamp_results(args.p, args.p_type, r * args.p_stride + start, results, count, args.codes);
  }
}

template <typename Q, typename Entry>
static void softmax_rows(const SoftmaxArgs& args, const Entry* table, std::int64_t begin,
                         std::int64_t end) {
  for (std::int64_t r = begin; r < end; ++r) softmax_row<Q>(args, table, r);
}

template <typename Entry>
static void softmax_from(const SoftmaxArgs& args, const Entry* table, std::int64_t begin,
                         std::int64_t end) {
  if (args.q_type == CodeType::kUInt8) {
    return softmax_rows<std::uint8_t>(args, table, begin, end);
  }
  if (args.q_type == CodeType::kInt8) return softmax_rows<std::int8_t>(args, table, begin, end);
  softmax_rows<std::int16_t>(args, table, begin, end);
}

static void softmax_codes(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.table != nullptr) return softmax_from(args, args.table, begin, end);
  softmax_from(args, args.wide_table, begin, end);
}

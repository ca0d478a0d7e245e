// How the affine kernels walk a tensor. Included inside a target's namespace; see
// targets/all-inl.h.

// One vector of a channel table.
struct Affine {
  F32 inverse_scale, scale, zero_point, lowest, highest;
};

// The constants of successive vectors of a stretch that belongs to one channel.
class OneChannel {
 public:
  OneChannel(const AffineTable& table, std::int64_t channel)
      : affine_{broadcast(table.inverse_scale[channel]), broadcast(table.scale[channel]),
                broadcast(table.zero_point[channel]), broadcast(table.lowest[channel]),
                broadcast(table.highest[channel])} {}

  [[nodiscard]] const Affine& next() const { return affine_; }

 private:
  Affine affine_;
};

static inline Affine load_affine(const AffineTable& table, std::int64_t channel) {
  return {load(table.inverse_scale + channel), load(table.scale + channel),
          load(table.zero_point + channel), load(table.lowest + channel),
          load(table.highest + channel)};
}

// The constants of successive vectors of a stretch whose element i belongs to channel i % channels.
class EveryChannel {
 public:
  EveryChannel(const AffineTable& table, std::int64_t channels)
      : table_(table), channels_(channels), step_(kWidth % channels) {}

  Affine next() {
    const Affine affine = load_affine(table_, channel_);
    channel_ += step_;
    if (channel_ >= channels_) channel_ -= channels_;
    return affine;
  }

 private:
  const AffineTable& table_;
  std::int64_t channels_;
  std::int64_t step_;
  std::int64_t channel_ = 0;
};

// out[i] = op(constants of i, in[i]...) for i in [0, n).
template <typename Constants, typename Op, typename Out, typename... In>
static inline void transform(Constants constants, std::int64_t n, Op op, Out* out,
                             const In*... in) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(out + i, op(constants.next(), load(in + i)...));
  if (i < n) store(out + i, op(constants.next(), load(in + i, n - i)...), n - i);
}

// Calls visit(block, channel, offset, count) for the row blocks [begin, end).
template <typename Visit>
static inline void for_each_row_block(const AffineLayout& layout, std::int64_t begin,
                                      std::int64_t end, Visit visit) {
  if (begin >= end) return;
  const std::int64_t per_row = blocks_per_row(layout);
  std::int64_t row = begin / per_row;
  std::int64_t start = begin % per_row * kBlockSize;
  std::int64_t channel = row % layout.channels;
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t left = layout.inner - start;
    visit(block, channel, row * layout.inner + start, left < kBlockSize ? left : kBlockSize);
    start += kBlockSize;
    if (start >= layout.inner) {
      start = 0;
      ++row;
      channel = channel + 1 == layout.channels ? 0 : channel + 1;
    }
  }
}

// Calls visit(block, first row, last row + 1) for the channel-last blocks [begin, end).
template <typename Visit>
static inline void for_each_row_group(const AffineLayout& layout, std::int64_t begin,
                                      std::int64_t end, Visit visit) {
  const std::int64_t rows = rows_per_block(layout);
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t last = (block + 1) * rows;
    visit(block, block * rows, last < layout.outer ? last : layout.outer);
  }
}

// Calls map(constants, offset, count) for stretches that together are the blocks [begin, end).
template <typename Map>
static inline void for_each_stretch(const AffineLayout& layout, const AffineTable& table,
                                    std::int64_t begin, std::int64_t end, Map map) {
  if (layout.is_channel_last()) {
    const EveryChannel constants(table, layout.channels);
    for_each_row_group(layout, begin, end, [&](std::int64_t, std::int64_t row, std::int64_t last) {
      map(constants, row * layout.channels, (last - row) * layout.channels);
    });
  } else {
    for_each_row_block(layout, begin, end,
                       [&](std::int64_t, std::int64_t channel, std::int64_t offset,
                           std::int64_t count) { map(OneChannel(table, channel), offset, count); });
  }
}

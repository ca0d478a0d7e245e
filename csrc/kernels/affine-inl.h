// How the affine kernels walk a tensor. Included inside a target's namespace; see targets/all-inl.h.

// One vector of a channel table.
struct Affine {
  F32 inverse_scale, scale, zero_point, lowest, highest;
};

// Constants of a stretch that belongs to one channel.
struct OneChannel {
  Affine affine;

  OneChannel(const AffineTable& table, std::int64_t channel)
      : affine{broadcast(table.inverse_scale[channel]), broadcast(table.scale[channel]),
               broadcast(table.zero_point[channel]), broadcast(table.lowest[channel]),
               broadcast(table.highest[channel])} {}

  const Affine& at(std::int64_t /*channel*/, std::int64_t /*count*/) const { return affine; }
};

// Constants of a stretch whose element i belongs to channel i.
struct EveryChannel {
  const AffineTable& table;

  Affine at(std::int64_t channel, std::int64_t count) const {
    return {load(table.inverse_scale + channel, count), load(table.scale + channel, count),
            load(table.zero_point + channel, count), load(table.lowest + channel, count),
            load(table.highest + channel, count)};
  }
};

// out[i] = op(constants of i, in[i]...) for i in [0, n).
template <typename Constants, typename Op, typename Out, typename... In>
static inline void transform(const Constants& constants, std::int64_t n, Op op, Out* out,
                             const In*... in) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    store(out + i, op(constants.at(i, kWidth), load(in + i)...));
  }
  if (i < n) store(out + i, op(constants.at(i, n - i), load(in + i, n - i)...), n - i);
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
    const EveryChannel constants{table};
    for_each_row_group(layout, begin, end, [&](std::int64_t, std::int64_t row, std::int64_t last) {
      for (; row < last; ++row) map(constants, row * layout.channels, layout.channels);
    });
  } else {
    for_each_row_block(layout, begin, end,
                       [&](std::int64_t, std::int64_t channel, std::int64_t offset,
                           std::int64_t count) { map(OneChannel(table, channel), offset, count); });
  }
}

// Included inside a target's namespace; see targets/all-inl.h.

// q - z before dequantization. Clamping first is the same as clamping the rounded value, because
// the limits are integers, and it keeps |x| small enough for round_to_int.
static inline F32 centred_code(const Affine& a, F32 x) {
  return round_to_int(at_most(at_least(x * a.inverse_scale, a.lowest), a.highest));
}

template <typename T>
static void forward(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  T* const y = static_cast<T*>(args.y);
  const auto op = [](const Affine& a, F32 v) { return centred_code(a, v) * a.scale; };
  for_each_stretch(args.layout, args.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, y + offset, x + offset);
                   });
}

// One past the limits on both sides, so that a code outside is still seen as outside.
static inline F32 loosely_centred_code(const Affine& a, F32 t) {
  return round_to_int(at_most(at_least(t, a.lowest - 1.0F), a.highest + 1.0F));
}

template <typename T>
static void grad_x(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  const T* const g = static_cast<const T*>(args.g);
  T* const gx = static_cast<T*>(args.gx);
  const auto op = [](const Affine& a, F32 g_in, F32 v) {
    const F32 r = loosely_centred_code(a, v * a.inverse_scale);
    return ((r >= a.lowest) & (r <= a.highest)) ? g_in : F32{};
  };
  for_each_stretch(args.layout, args.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, gx + offset, g + offset, x + offset);
                   });
}

struct Sums {
  F32 scale, zero_point;
};

// Returns gx of one vector and adds its terms of gscale and of -gzero_point / scale to the sums.
static inline F32 grad_step(const Affine& a, F32 g, F32 x, Sums& sums) {
  const F32 t = x * a.inverse_scale;
  const F32 r = loosely_centred_code(a, t);
  const I32 is_below = r < a.lowest;
  const I32 is_above = r > a.highest;
  const I32 is_inside = (r >= a.lowest) & (r <= a.highest);  // false for a NaN, as are the others
  const F32 clipped = is_below ? a.lowest : (is_above ? a.highest : F32{});
  sums.scale += g * (is_inside ? r - t : clipped);
  sums.zero_point += (is_below | is_above) ? g : F32{};
  return is_inside ? g : F32{};
}

static inline double sum_lanes(const F32* lanes) {
  float values[kLanes];
  __builtin_memcpy(values, lanes, sizeof(values));
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value);
  return sum;
}

// One row block: element i goes to lane i % kLanes, whatever the register width.
template <typename T, typename Step>
static inline void grad_row_block(const FakeQuantGradArgs& args, std::int64_t block,
                                  const Affine& a, std::int64_t offset, std::int64_t count,
                                  Step step) {
  constexpr std::int64_t kParts = kLanes / kWidth;
  const T* const x = static_cast<const T*>(args.x) + offset;
  const T* const g = static_cast<const T*>(args.g) + offset;
  T* const gx = static_cast<T*>(args.gx) + offset;
  Sums sums[kParts] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t part = 0; part < kParts; ++part) {
      const std::int64_t j = i + part * kWidth;
      store(gx + j, step(a, load(g + j), load(x + j), sums[part]));
    }
  }
  for (std::int64_t part = 0; i < count; ++part, i += kWidth) {
    const std::int64_t left = count - i;
    store(gx + i, step(a, load(g + i, left), load(x + i, left), sums[part]), left);
  }
  F32 scale_lanes[kParts];
  F32 zero_point_lanes[kParts];
  for (std::int64_t part = 0; part < kParts; ++part) {
    scale_lanes[part] = sums[part].scale;
    zero_point_lanes[part] = sums[part].zero_point;
  }
  args.scale_partials[block] = sum_lanes(scale_lanes);
  args.zero_point_partials[block] = sum_lanes(zero_point_lanes);
}

// One channel-last block, a column of vectors after another. A column holds every rows_per_step-th
// row of its channels, and adds to their sums in the order of the columns.
template <typename T, typename Step>
static inline void grad_row_group(const FakeQuantGradArgs& args, std::int64_t block,
                                  std::int64_t row, std::int64_t last, Step step) {
  const std::int64_t channels = args.layout.channels;
  const std::int64_t pitch = rows_per_step(args.layout) * channels;  // a multiple of kLanes
  const std::int64_t count = (last - row) * channels;
  const T* const x = static_cast<const T*>(args.x) + row * channels;
  const T* const g = static_cast<const T*>(args.g) + row * channels;
  T* const gx = static_cast<T*>(args.gx) + row * channels;
  double* const scale_partials = args.scale_partials + block * channels;
  double* const zero_point_partials = args.zero_point_partials + block * channels;
  for (std::int64_t c = 0; c < channels; ++c) scale_partials[c] = zero_point_partials[c] = 0.0;
  std::int64_t channel = 0;
  for (std::int64_t column = 0; column < pitch; column += kWidth) {
    const Affine a = load_affine(args.table, channel);
    Sums sums = {};
    std::int64_t i = column;
    for (; i + kWidth <= count; i += pitch) {
      store(gx + i, step(a, load(g + i), load(x + i), sums));
    }
    if (i < count) {
      const std::int64_t left = count - i;
      store(gx + i, step(a, load(g + i, left), load(x + i, left), sums), left);
    }
    for (std::int64_t lane = 0; lane < kWidth; ++lane) {
      scale_partials[channel] += static_cast<double>(sums.scale[lane]);
      zero_point_partials[channel] += static_cast<double>(sums.zero_point[lane]);
      if (++channel == channels) channel = 0;
    }
  }
}

// `step` returns gx of one vector and adds its terms to the sums.
template <typename T, typename Step>
static void grad_blocks(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end,
                        Step step) {
  if (args.layout.is_channel_last()) {
    for_each_row_group(args.layout, begin, end,
                       [&](std::int64_t block, std::int64_t row, std::int64_t last) {
                         grad_row_group<T>(args, block, row, last, step);
                       });
    return;
  }
  for_each_row_block(
      args.layout, begin, end,
      [&](std::int64_t block, std::int64_t channel, std::int64_t offset, std::int64_t count) {
        grad_row_block<T>(args, block, OneChannel(args.table, channel).next(), offset, count, step);
      });
}

template <typename T>
static void grad(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  grad_blocks<T>(args, begin, end, [](const Affine& a, F32 g, F32 x, Sums& sums) {
    return grad_step(a, g, x, sums);
  });
}

static void fake_quant_affine(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.type == FloatType::kFloat32) return forward<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return forward<BFloat16>(args, begin, end);
  forward<Float16>(args, begin, end);
}

static void fake_quant_affine_grad_x(const FakeQuantGradArgs& args, std::int64_t begin,
                                     std::int64_t end) {
  if (args.type == FloatType::kFloat32) return grad_x<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return grad_x<BFloat16>(args, begin, end);
  grad_x<Float16>(args, begin, end);
}

static void fake_quant_affine_grad(const FakeQuantGradArgs& args, std::int64_t begin,
                                   std::int64_t end) {
  if (args.type == FloatType::kFloat32) return grad<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return grad<BFloat16>(args, begin, end);
  grad<Float16>(args, begin, end);
}

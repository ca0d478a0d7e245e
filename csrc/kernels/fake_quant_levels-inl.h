// Included inside a target's namespace; see targets/all-inl.h.

// The level of each t, by halving: `index` is the number of thresholds at most t. A NaN stays one.
static inline F32 level_of(const LevelTable& table, F32 t) {
  I32 index = {};
  for (auto half = static_cast<std::int32_t>(table.size / 2); half > 0; half /= 2) {
    F32 pivot;
    for (std::int64_t lane = 0; lane < kWidth; ++lane) {
      pivot[lane] = table.thresholds[index[lane] + half - 1];
    }
    index += (pivot <= t) & half;
  }
  F32 level;
  for (std::int64_t lane = 0; lane < kWidth; ++lane) level[lane] = table.levels[index[lane]];
  return t != t ? t : level;
}

static inline I32 is_inside_levels(const LevelTable& table, F32 t) {
  return (t >= table.lowest) & (t <= table.highest);
}

template <typename T>
static void forward_levels(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.affine.x);
  T* const y = static_cast<T*>(args.affine.y);
  const LevelTable table = args.levels;
  const auto op = [&](const Affine& a, F32 v) {
    return level_of(table, v * a.inverse_scale) * a.scale;
  };
  for_each_stretch(args.affine.layout, args.affine.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, y + offset, x + offset);
                   });
}

template <typename T>
static void grad_x_levels(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                          std::int64_t end) {
  const T* const x = static_cast<const T*>(args.affine.x);
  const T* const g = static_cast<const T*>(args.affine.g);
  T* const gx = static_cast<T*>(args.affine.gx);
  const auto op = [&](const Affine& a, F32 g_in, F32 v) {
    return is_inside_levels(args.levels, v * a.inverse_scale) ? g_in : F32{};
  };
  for_each_stretch(args.affine.layout, args.affine.table, begin, end,
                   [&](const auto& constants, std::int64_t offset, std::int64_t count) {
                     transform(constants, count, op, gx + offset, g + offset, x + offset);
                   });
}

template <typename T>
static void grad_levels(const FakeQuantLevelsGradArgs& args, std::int64_t begin, std::int64_t end) {
  const LevelTable table = args.levels;
  grad_blocks<T>(args.affine, begin, end, [&](const Affine& a, F32 g, F32 x, Sums& sums) {
    const F32 t = x * a.inverse_scale;
    const F32 level = level_of(table, t);
    const I32 is_inside = is_inside_levels(table, t);
    const F32 slope = is_inside ? level - t : level;
    sums.scale += t == t ? g * slope : F32{};
    return is_inside ? g : F32{};
  });
}

static void fake_quant_levels(const FakeQuantLevelsArgs& args, std::int64_t begin,
                              std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return forward_levels<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return forward_levels<BFloat16>(args, begin, end);
  forward_levels<Float16>(args, begin, end);
}

static void fake_quant_levels_grad_x(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                     std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return grad_x_levels<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return grad_x_levels<BFloat16>(args, begin, end);
  grad_x_levels<Float16>(args, begin, end);
}

static void fake_quant_levels_grad(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                   std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return grad_levels<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return grad_levels<BFloat16>(args, begin, end);
  grad_levels<Float16>(args, begin, end);
}

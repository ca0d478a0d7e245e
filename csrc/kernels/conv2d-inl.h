// Included inside a target's namespace; see targets/all-inl.h.

// A pixel of y and its window in x.
struct ConvPixel {
  std::int64_t image, y, x;
  std::int64_t top, left;                         // where the window begins
  std::int64_t first_y, last_y, first_x, last_x;  // the taps inside the image: [first, last)
};

// Neighbouring pixels, counted over all rows of y.
struct PixelBlock {
  std::int64_t count;
  ConvPixel pixels[kGemmRows];
};

template <typename X>
struct ConvTypes {
  using Product = std::int16_t;  // of a centred code and a weight: |255 * -128| < 2^15
  // Codes times weights whose sum stays below 2^30.
  static constexpr std::int64_t kChunk = 1 << 15;
};

template <>
struct ConvTypes<std::int16_t> {
  using Product = std::int32_t;
  static constexpr std::int64_t kChunk = 1 << 8;
};

// The taps t in [first, last) with 0 <= begin + t * dilation < size.
static inline void find_inside(std::int64_t& first, std::int64_t& last, std::int64_t begin,
                               std::int64_t dilation, std::int64_t size, std::int64_t taps) {
  first = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
  last = begin < size ? (size - begin + dilation - 1) / dilation : 0;
  if (last > taps) last = taps;
  if (first > last) first = last;
}

static inline PixelBlock find_pixels(const Conv2dShape& shape, std::int64_t begin,
                                     std::int64_t end) {
  PixelBlock block;
  block.count = end - begin < kGemmRows ? end - begin : kGemmRows;
  for (std::int64_t i = 0; i < block.count; ++i) {
    ConvPixel& pixel = block.pixels[i];
    const std::int64_t row = (begin + i) / shape.out_width;
    pixel.x = (begin + i) % shape.out_width;
    pixel.y = row % shape.out_height;
    pixel.image = row / shape.out_height;
    pixel.top = pixel.y * shape.stride_y - shape.pad_top;
    pixel.left = pixel.x * shape.stride_x - shape.pad_left;
    find_inside(pixel.first_y, pixel.last_y, pixel.top, shape.dilation_y, shape.height,
                shape.kernel_height);
    find_inside(pixel.first_x, pixel.last_x, pixel.left, shape.dilation_x, shape.width,
                shape.kernel_width);
  }
  return block;
}

// The channels of the pixel under one tap.
template <typename X>
static inline const X* find_tap(const Conv2dArgs& args, const ConvPixel& pixel, std::int64_t tap_y,
                                std::int64_t tap_x) {
  return static_cast<const X*>(args.x) + pixel.image * args.x_batch_stride +
         (pixel.top + tap_y * args.shape.dilation_y) * args.x_row_stride +
         (pixel.left + tap_x * args.shape.dilation_x) * args.x_column_stride;
}

// One row of the panel: the codes under all taps, the zero-point outside the image, zeros after
// the last tap.
template <typename X>
static void gather_window(std::int16_t* __restrict row, const Conv2dArgs& args,
                          const ConvPixel& pixel, std::int64_t channel, std::int64_t channels,
                          std::int64_t depth) {
  const Conv2dShape& shape = args.shape;
  const std::int16_t* const end = row + depth;
  for (std::int64_t tap_y = 0; tap_y < shape.kernel_height; ++tap_y) {
    for (std::int64_t tap_x = 0; tap_x < shape.kernel_width; ++tap_x, row += channels) {
      if (tap_y >= pixel.first_y && tap_y < pixel.last_y && tap_x >= pixel.first_x &&
          tap_x < pixel.last_x) {
        const X* const x = find_tap<X>(args, pixel, tap_y, tap_x) + channel;
        for (std::int64_t c = 0; c < channels; ++c) row[c] = x[c];
      } else {
        const auto zero = static_cast<std::int16_t>(args.x_zero_point);
        for (std::int64_t c = 0; c < channels; ++c) row[c] = zero;
      }
    }
  }
  while (row < end) *row++ = 0;
}

// Adds the offsets of the taps outside of the image, which the start has subtracted, to the
// accumulators of `count` outputs.
template <typename Acc>
static void add_outer_offsets(Acc* __restrict acc, const Conv2dArgs& args, const ConvPixel& pixel,
                              std::int64_t output, std::int64_t count) {
  const Conv2dShape& shape = args.shape;
  for (std::int64_t tap_y = 0; tap_y < shape.kernel_height; ++tap_y) {
    const bool is_row_inside = tap_y >= pixel.first_y && tap_y < pixel.last_y;
    for (std::int64_t tap_x = 0; tap_x < shape.kernel_width; ++tap_x) {
      if (is_row_inside && tap_x >= pixel.first_x && tap_x < pixel.last_x) continue;
      const std::int64_t tap = tap_y * shape.kernel_width + tap_x;
      const std::int32_t* __restrict offsets = args.tap_offset + tap * shape.out_channels + output;
      for (std::int64_t j = 0; j < count; ++j) acc[j] += static_cast<Acc>(offsets[j]);
    }
  }
}

// Fills the block of accumulators of `count` outputs with what is added to the products.
template <typename Acc>
static void start_block(Acc* acc, const Conv2dArgs& args, const PixelBlock& block,
                        std::int64_t output, std::int64_t count) {
  for (std::int64_t i = 0; i < block.count; ++i) {
    Acc* const row = acc + i * kGemmColumns;
    for (std::int64_t j = 0; j < count; ++j) row[j] = static_cast<Acc>(args.start[output + j]);
    for (std::int64_t j = count; j < padded(count, kGemmTile); ++j) row[j] = 0;
  }
  if (args.tap_offset == nullptr) return;
  for (std::int64_t i = 0; i < block.count; ++i) {
    add_outer_offsets(acc + i * kGemmColumns, args, block.pixels[i], output, count);
  }
}

template <typename Acc>
static void store_block(const Conv2dArgs& args, const Acc* acc, const PixelBlock& block,
                        std::int64_t output, std::int64_t count) {
  const Multiplier* const multipliers =
      args.multipliers == nullptr ? nullptr : args.multipliers + output;
  for (std::int64_t i = 0; i < block.count; ++i) {
    const ConvPixel& pixel = block.pixels[i];
    const std::int64_t offset = pixel.image * args.y_batch_stride + pixel.y * args.y_row_stride +
                                pixel.x * args.y_column_stride + output;
    store_results(static_cast<std::uint8_t*>(args.y) + offset * code_size(args.y_type), args.y_type,
                  acc + i * kGemmColumns, count, multipliers, args.codes);
  }
}

template <typename Product, typename X, typename Acc>
static inline void add_tap(Acc* __restrict acc, const X* __restrict x,
                           const std::int16_t* __restrict weights, std::int64_t count,
                           Product zero_point) {
  for (std::int64_t c = 0; c < count; ++c) {
    const auto centred = static_cast<Product>(x[c] - zero_point);
    acc[c] += static_cast<Acc>(static_cast<Product>(centred * weights[c]));
  }
}

// [taps, out_channels] from [out_channels, taps].
static void widen_depthwise(std::int16_t* __restrict to, const Conv2dArgs& args) {
  const std::int64_t taps = num_taps(args.shape);
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    for (std::int64_t c = 0; c < args.shape.out_channels; ++c) {
      to[tap * args.shape.out_channels + c] = args.weights[c * taps + tap];
    }
  }
}

// The weights of the outputs [first, first + count), rows padded with zeros to the depth, and zero
// rows up to a whole tile.
static void widen_outputs(std::int16_t* __restrict to, const Conv2dArgs& args, std::int64_t first,
                          std::int64_t count) {
  const std::int64_t depth = conv2d_depth(args.shape);
  const std::int64_t used = num_taps(args.shape) * (args.shape.in_channels / args.shape.groups);
  const std::int8_t* __restrict weights = args.weights + first * used;
  for (std::int64_t j = 0; j < padded(count, kGemmTile); ++j, to += depth, weights += used) {
    const std::int64_t length = j < count ? used : 0;
    for (std::int64_t k = 0; k < length; ++k) to[k] = weights[k];
    for (std::int64_t k = length; k < depth; ++k) to[k] = 0;
  }
}

template <typename X, typename Acc>
static void conv2d_depthwise(const Conv2dArgs& args, const PixelBlock& block) {
  const auto* const widened = static_cast<const std::int16_t*>(args.scratch);
  using Product = typename ConvTypes<X>::Product;
  const Conv2dShape& shape = args.shape;
  Acc acc[kGemmRows * kGemmColumns];
  for (std::int64_t output = 0; output < shape.out_channels; output += kGemmColumns) {
    const std::int64_t left = shape.out_channels - output;
    const std::int64_t count = left < kGemmColumns ? left : kGemmColumns;
    start_block(acc, args, block, output, count);
    for (std::int64_t i = 0; i < block.count; ++i) {
      const ConvPixel& pixel = block.pixels[i];
      for (std::int64_t tap_y = pixel.first_y; tap_y < pixel.last_y; ++tap_y) {
        for (std::int64_t tap_x = pixel.first_x; tap_x < pixel.last_x; ++tap_x) {
          const std::int64_t tap = tap_y * shape.kernel_width + tap_x;
          add_tap(acc + i * kGemmColumns, find_tap<X>(args, pixel, tap_y, tap_x) + output,
                  widened + tap * shape.out_channels + output, count,
                  static_cast<Product>(args.x_zero_point));
        }
      }
    }
    store_block(args, acc, block, output, count);
  }
}

// The outputs [first, first + count) of one group, whose weights are widened at the start of the
// scratch.
template <typename X, typename Acc>
static void conv2d_dense(const Conv2dArgs& args, const PixelBlock& block, std::int64_t first,
                         std::int64_t count) {
  const Conv2dShape& shape = args.shape;
  const std::int64_t channels = shape.in_channels / shape.groups;
  const std::int64_t channel = first / (shape.out_channels / shape.groups) * channels;
  const std::int64_t depth = conv2d_depth(shape);
  const auto* const weights = static_cast<const std::int16_t*>(args.scratch);
  auto* const panel = static_cast<std::int16_t*>(args.scratch) + widened_size(shape);
  for (std::int64_t i = 0; i < block.count; ++i) {
    gather_window<X>(panel + i * depth, args, block.pixels[i], channel, channels, depth);
  }
  Acc acc[kGemmRows * kGemmColumns];
  for (std::int64_t j = 0; j < count; j += kGemmColumns) {
    const std::int64_t columns = count - j < kGemmColumns ? count - j : kGemmColumns;
    start_block(acc, args, block, first + j, columns);
    add_products<std::int32_t>(acc, panel, weights + j * depth, block.count, columns, depth,
                               ConvTypes<X>::kChunk);
    store_block(args, acc, block, first + j, columns);
  }
}

// Calls visit(block) for the pixels of the rows [begin, end) of y.
template <typename Visit>
static void for_each_block(const Conv2dShape& shape, std::int64_t begin, std::int64_t end,
                           Visit visit) {
  const std::int64_t stop = end * shape.out_width;
  for (std::int64_t i = begin * shape.out_width; i < stop; i += kGemmRows) {
    visit(find_pixels(shape, i, stop));
  }
}

template <typename X, typename Acc>
static void conv2d_rows(const Conv2dArgs& args, std::int64_t begin, std::int64_t end) {
  const Conv2dShape& shape = args.shape;
  auto* const widened = static_cast<std::int16_t*>(args.scratch);
  if (is_depthwise(shape)) {
    widen_depthwise(widened, args);
    for_each_block(shape, begin, end,
                   [&](const PixelBlock& block) { conv2d_depthwise<X, Acc>(args, block); });
    return;
  }
  const std::int64_t outputs = shape.out_channels / shape.groups;
  const std::int64_t step = widened_outputs(shape);
  for (std::int64_t group = 0; group < shape.groups; ++group) {
    for (std::int64_t j = 0; j < outputs; j += step) {
      const std::int64_t count = outputs - j < step ? outputs - j : step;
      const std::int64_t first = group * outputs + j;
      widen_outputs(widened, args, first, count);
      for_each_block(shape, begin, end, [&](const PixelBlock& block) {
        conv2d_dense<X, Acc>(args, block, first, count);
      });
    }
  }
}

static void conv2d(const Conv2dArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.x_type == CodeType::kUInt8) {
    return conv2d_rows<std::uint8_t, std::uint32_t>(args, begin, end);
  }
  if (args.x_type == CodeType::kInt8) {
    return conv2d_rows<std::int8_t, std::uint32_t>(args, begin, end);
  }
  if (args.accumulator_type == CodeType::kInt32) {
    return conv2d_rows<std::int16_t, std::uint32_t>(args, begin, end);
  }
  conv2d_rows<std::int16_t, std::int64_t>(args, begin, end);
}

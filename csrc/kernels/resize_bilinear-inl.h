// Included inside a target's namespace; see targets/all-inl.h.

// The channels of the four pixels of x that one pixel of y mixes, and the weights of the second
// along each axis.
template <typename X>
struct ResizeCorners {
  const X* top[2];
  const X* bottom[2];
  std::int32_t column_weight;
  std::int32_t row_weight;
};

// acc[i] = the mix of the codes of n channels from `channel` on, less kResizeOne^2 zero-points.
// Along columns |mix| <= 2^11 2^15. Then codes of 8 bits stay below 2^22 255 < 2^30 in int32, with
// their zero-point or without; those of 16 bits take int64.
template <typename X, typename Acc>
static inline void mix_corners(Acc* __restrict acc, const ResizeCorners<X>& corners,
                               std::int64_t channel, std::int64_t n, std::int32_t zero_point) {
  const X* __restrict const a = corners.top[0] + channel;
  const X* __restrict const b = corners.top[1] + channel;
  const X* __restrict const c = corners.bottom[0] + channel;
  const X* __restrict const d = corners.bottom[1] + channel;
  const std::int32_t right = corners.column_weight;
  const std::int32_t left = kResizeOne - right;
  const Acc below = corners.row_weight;
  const Acc above = kResizeOne - below;
  const Acc zero_points = Acc{kResizeOne * kResizeOne} * zero_point;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t top = a[i] * left + b[i] * right;
    const std::int32_t bottom = c[i] * left + d[i] * right;
    acc[i] = top * above + bottom * below - zero_points;
  }
}

// y begins at `offset`.
template <typename X, typename Acc>
static void resize_pixel(const ResizeBilinearArgs& args, const ResizeCorners<X>& corners,
                         std::int64_t offset) {
  const OutputView y{args.y, args.y_type, {0, 0, 0, 0, 0, 1}};
  for (std::int64_t channel = 0; channel < args.shape.channels; channel += kRunSize) {
    const std::int64_t left = args.shape.channels - channel;
    const std::int64_t n = left < kRunSize ? left : kRunSize;
    Acc acc[kRunSize];
    std::int32_t codes[kRunSize];
    mix_corners(acc, corners, channel, n, args.x_zero_point);
    requantize_run(acc, n, args.by, args.codes, codes);
    store_codes(y, offset + channel, n, codes);
  }
}

template <typename X, typename Acc>
static void resize_rows(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end) {
  const ResizeBilinearShape& shape = args.shape;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t image = i / shape.out_height;
    const std::int64_t row = i % shape.out_height;
    const X* const x = static_cast<const X*>(args.x) + image * args.x_batch_stride;
    const X* const top = x + args.rows.low[row] * args.x_row_stride;
    const X* const bottom = x + args.rows.high[row] * args.x_row_stride;
    for (std::int64_t column = 0; column < shape.out_width; ++column) {
      const std::int64_t low = args.columns.low[column] * args.x_column_stride;
      const std::int64_t high = args.columns.high[column] * args.x_column_stride;
      const ResizeCorners<X> corners{{top + low, top + high},
                                     {bottom + low, bottom + high},
                                     args.columns.weight[column],
                                     args.rows.weight[row]};
      resize_pixel<X, Acc>(
          args, corners,
          image * args.y_batch_stride + row * args.y_row_stride + column * args.y_column_stride);
    }
  }
}

static void resize_bilinear(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.x_type == CodeType::kUInt8) {
    return resize_rows<std::uint8_t, std::int32_t>(args, begin, end);
  }
  if (args.x_type == CodeType::kInt8) {
    return resize_rows<std::int8_t, std::int32_t>(args, begin, end);
  }
  resize_rows<std::int16_t, std::int64_t>(args, begin, end);
}

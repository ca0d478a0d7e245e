// Included inside a target's namespace; see targets/all-inl.h.

// The positions of a window that are inside the image.
template <typename X>
struct PoolWindow {
  const X* first;  // the channels of the first one
  std::int64_t rows, columns;
};

template <typename X>
static inline PoolWindow<X> find_window(const Pool2dArgs& args, std::int64_t image,
                                        std::int64_t row, std::int64_t column) {
  const Pool2dShape& shape = args.shape;
  const std::int64_t top = row * shape.stride_y - shape.pad_top;
  const std::int64_t left = column * shape.stride_x - shape.pad_left;
  std::int64_t first_y, last_y, first_x, last_x;
  find_inside(first_y, last_y, top, /*dilation=*/1, shape.height, shape.kernel_height);
  find_inside(first_x, last_x, left, /*dilation=*/1, shape.width, shape.kernel_width);
  const std::int64_t offset = image * args.x_batch_stride + (top + first_y) * args.x_row_stride +
                              (left + first_x) * args.x_column_stride;
  return {static_cast<const X*>(args.x) + offset, last_y - first_y, last_x - first_x};
}

// Fills acc: [n], the sums or largest codes of n channels from `channel` on.
template <Reduction kReduction, typename Acc, typename X>
static inline void reduce_window(Acc* __restrict acc, const Pool2dArgs& args,
                                 const PoolWindow<X>& window, std::int64_t channel,
                                 std::int64_t n) {
  constexpr Acc kStart = kReduction == Reduction::kSum ? 0 : std::numeric_limits<Acc>::min();
  for (std::int64_t i = 0; i < n; ++i) acc[i] = kStart;
  for (std::int64_t row = 0; row < window.rows; ++row) {
    reduce_columns<kReduction>(acc, window.first + row * args.x_row_stride + channel, n,
                               /*stride=*/1, window.columns, args.x_column_stride);
  }
}

// y begins at `offset`.
template <typename X>
static void average_window(const Pool2dArgs& args, const PoolWindow<X>& window,
                           std::int64_t offset) {
  const OutputView y{args.y, args.y_type, {0, 0, 0, 0, 0, 1}};
  const std::int64_t count = window.rows * window.columns;
  const auto zero_points = static_cast<std::int32_t>(count * args.x_zero_point);
  for (std::int64_t channel = 0; channel < args.shape.channels; channel += kRunSize) {
    const std::int64_t left = args.shape.channels - channel;
    const std::int64_t n = left < kRunSize ? left : kRunSize;
    std::int32_t acc[kRunSize];
    std::int32_t codes[kRunSize];
    reduce_window<Reduction::kSum>(acc, args, window, channel, n);
    for (std::int64_t i = 0; i < n; ++i) acc[i] -= zero_points;
    requantize_run(acc, n, args.multipliers[count - 1], args.codes, codes);
    store_codes(y, offset + channel, n, codes);
  }
}

template <typename X>
static void pool2d_rows(const Pool2dArgs& args, std::int64_t begin, std::int64_t end) {
  const Pool2dShape& shape = args.shape;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t image = i / shape.out_height;
    const std::int64_t row = i % shape.out_height;
    for (std::int64_t column = 0; column < shape.out_width; ++column) {
      const PoolWindow<X> window = find_window<X>(args, image, row, column);
      const std::int64_t offset =
          image * args.y_batch_stride + row * args.y_row_stride + column * args.y_column_stride;
      if (args.pooling == Pooling::kMaximum) {
        reduce_window<Reduction::kMaximum>(static_cast<X*>(args.y) + offset, args, window,
                                           /*channel=*/0, shape.channels);
      } else {
        average_window(args, window, offset);
      }
    }
  }
}

static void pool2d(const Pool2dArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.x_type == CodeType::kUInt8) return pool2d_rows<std::uint8_t>(args, begin, end);
  if (args.x_type == CodeType::kInt8) return pool2d_rows<std::int8_t>(args, begin, end);
  pool2d_rows<std::int16_t>(args, begin, end);
}

#include "kernels/pool2d.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

// What a window holds of one channel.
struct WindowCodes {
  std::int64_t count;
  std::int64_t sum;
  std::int64_t largest;
};

WindowCodes read_window(const Pool2dArgs& args, std::int64_t image, std::int64_t row,
                        std::int64_t column, std::int64_t channel) {
  const Pool2dShape& shape = args.shape;
  WindowCodes window{0, 0, std::numeric_limits<std::int64_t>::min()};
  for (std::int64_t tap = 0; tap < shape.kernel_height * shape.kernel_width; ++tap) {
    const std::int64_t y = row * shape.stride_y - shape.pad_top + tap / shape.kernel_width;
    const std::int64_t x = column * shape.stride_x - shape.pad_left + tap % shape.kernel_width;
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) continue;
    const std::int64_t code = read_code(
        args.x, args.x_type,
        image * args.x_batch_stride + y * args.x_row_stride + x * args.x_column_stride + channel);
    ++window.count;
    window.sum += code - args.x_zero_point;
    window.largest = std::max(window.largest, code);
  }
  assert(window.count > 0);
  return window;
}

std::int64_t average(const Pool2dArgs& args, const WindowCodes& window) {
  assert(window.sum > -(std::int64_t{1} << 31) && window.sum < std::int64_t{1} << 31);
  const std::int64_t result =
      requantize(window.sum, args.multipliers[window.count - 1], args.codes.rounding);
  return clamp_code(args.codes.zero_point + result, args.codes.lowest, args.codes.highest);
}

}  // namespace

void pool2d_ref(const Pool2dArgs& args, std::int64_t begin, std::int64_t end) {
  const Pool2dShape& shape = args.shape;
  assert(args.pooling == Pooling::kAverage || args.y_type == args.x_type);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t image = i / shape.out_height;
    const std::int64_t row = i % shape.out_height;
    for (std::int64_t column = 0; column < shape.out_width; ++column) {
      const std::int64_t pixel =
          image * args.y_batch_stride + row * args.y_row_stride + column * args.y_column_stride;
      for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
        const WindowCodes window = read_window(args, image, row, column, channel);
        write_code(args.y, args.y_type, pixel + channel,
                   args.pooling == Pooling::kMaximum ? window.largest : average(args, window));
      }
    }
  }
}

}  // namespace hybridquant::kernels

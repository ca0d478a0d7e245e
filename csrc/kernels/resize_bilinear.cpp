#include "kernels/resize_bilinear.h"

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

std::int64_t mixed(std::int64_t low, std::int64_t high, std::int64_t weight) {
  assert(weight >= 0 && weight <= kResizeOne);
  return low * (kResizeOne - weight) + high * weight;
}

// The mix of four centred codes of one channel.
std::int64_t accumulate(const ResizeBilinearArgs& args, std::int64_t image, std::int64_t row,
                        std::int64_t column, std::int64_t channel) {
  const auto code = [&](std::int64_t y, std::int64_t x) {
    assert(y >= 0 && y < args.shape.height && x >= 0 && x < args.shape.width);
    return read_code(args.x, args.x_type,
                     image * args.x_batch_stride + y * args.x_row_stride +
                         x * args.x_column_stride + channel) -
           args.x_zero_point;
  };
  const auto along_columns = [&](std::int64_t y) {
    return mixed(code(y, args.columns.low[column]), code(y, args.columns.high[column]),
                 args.columns.weight[column]);
  };
  return mixed(along_columns(args.rows.low[row]), along_columns(args.rows.high[row]),
               args.rows.weight[row]);
}

}  // namespace

void resize_bilinear_ref(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end) {
  const ResizeBilinearShape& shape = args.shape;
  assert(args.x_type != CodeType::kInt16 || args.by.shift >= 16);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t image = i / shape.out_height;
    const std::int64_t row = i % shape.out_height;
    for (std::int64_t column = 0; column < shape.out_width; ++column) {
      const std::int64_t pixel =
          image * args.y_batch_stride + row * args.y_row_stride + column * args.y_column_stride;
      for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
        const std::int64_t acc = accumulate(args, image, row, column, channel);
        const std::int64_t result = requantize_bounded(acc, args.by, args.codes.rounding);
        write_code(
            args.y, args.y_type, pixel + channel,
            clamp_code(args.codes.zero_point + result, args.codes.lowest, args.codes.highest));
      }
    }
  }
}

}  // namespace hybridquant::kernels

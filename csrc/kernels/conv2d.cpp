#include "kernels/conv2d.h"

#include <cassert>
#include <numeric>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

// Scratch is whole words of 8 bytes.
constexpr std::int64_t kAlignedElements = 4;

// Index of the weight of an output, a tap and a channel within the output's group.
std::int64_t weight_index(const Conv2dShape& shape, std::int64_t output, std::int64_t tap,
                          std::int64_t channel) {
  return (output * num_taps(shape) + tap) * (shape.in_channels / shape.groups) + channel;
}

// The accumulator of one output of the pixel (row, column) of an image.
std::int64_t accumulate(const Conv2dArgs& args, std::int64_t image, std::int64_t row,
                        std::int64_t column, std::int64_t output) {
  const Conv2dShape& shape = args.shape;
  const std::int64_t channels = shape.in_channels / shape.groups;
  const std::int64_t first_channel = output / (shape.out_channels / shape.groups) * channels;
  std::int64_t acc = args.bias == nullptr ? 0 : args.bias[output];
  for (std::int64_t tap = 0; tap < num_taps(shape); ++tap) {
    const std::int64_t y =
        row * shape.stride_y - shape.pad_top + tap / shape.kernel_width * shape.dilation_y;
    const std::int64_t x =
        column * shape.stride_x - shape.pad_left + tap % shape.kernel_width * shape.dilation_x;
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) continue;
    if (args.tap_offset != nullptr) acc -= args.tap_offset[tap * shape.out_channels + output];
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t index = image * args.x_batch_stride + y * args.x_row_stride +
                                 x * args.x_column_stride + first_channel + c;
      acc += (read_code(args.x, args.x_type, index) - args.x_zero_point) *
             args.weights[weight_index(shape, output, tap, c)];
    }
  }
  return acc;
}

std::int64_t result_of(const Conv2dArgs& args, std::int64_t acc, std::int64_t output) {
  if (args.multipliers == nullptr) return acc;
  const std::int64_t result = requantize(acc, args.multipliers[output], args.codes.rounding);
  return clamp_code(args.codes.zero_point + result, args.codes.lowest, args.codes.highest);
}

}  // namespace

std::size_t conv2d_scratch_bytes(const Conv2dShape& shape) {
  const std::int64_t elements = padded(widened_size(shape) + panel_size(shape), kAlignedElements);
  return static_cast<std::size_t>(elements) * sizeof(std::int16_t);
}

// Sum of (x - z) w = sum of x w - z sum of w: the second term is part of the start. Padding is z.
// Depthwise kernels centre each code instead. The offsets of all taps are part of it, too: kernels
// add those outside of the image.
void prepare_conv2d(std::int64_t* start, const Conv2dArgs& args) {
  const Conv2dShape& shape = args.shape;
  const std::int64_t count = num_taps(shape) * (shape.in_channels / shape.groups);
  for (std::int64_t output = 0; output < shape.out_channels; ++output) {
    start[output] = args.bias == nullptr ? 0 : args.bias[output];
    for (std::int64_t tap = 0; args.tap_offset != nullptr && tap < num_taps(shape); ++tap) {
      start[output] -= args.tap_offset[tap * shape.out_channels + output];
    }
    if (is_depthwise(shape)) continue;
    const std::int8_t* const weights = args.weights + output * count;
    start[output] -= args.x_zero_point * std::accumulate(weights, weights + count, std::int64_t{0});
  }
}

void conv2d_ref(const Conv2dArgs& args, std::int64_t begin, std::int64_t end) {
  const Conv2dShape& shape = args.shape;
  [[maybe_unused]] const std::int64_t limit =
      std::int64_t{1} << (args.accumulator_type == CodeType::kInt32 ? 31 : 47);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t image = i / shape.out_height;
    const std::int64_t row = i % shape.out_height;
    for (std::int64_t column = 0; column < shape.out_width; ++column) {
      const std::int64_t pixel =
          image * args.y_batch_stride + row * args.y_row_stride + column * args.y_column_stride;
      for (std::int64_t output = 0; output < shape.out_channels; ++output) {
        const std::int64_t acc = accumulate(args, image, row, column, output);
        assert(acc > -limit && acc < limit);
        write_code(args.y, args.y_type, pixel + output, result_of(args, acc, output));
      }
    }
  }
}

}  // namespace hybridquant::kernels

// Convolutions that the tests of convolution and linear layers share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/conv2d.h"

namespace hybridquant::kernels {

inline std::ostream& operator<<(std::ostream& out, const Conv2dShape& s) {
  return out << s.batch << "x" << s.in_channels << "x" << s.height << "x" << s.width << " to "
             << s.out_channels << "x" << s.out_height << "x" << s.out_width << ", kernel "
             << s.kernel_height << "x" << s.kernel_width << ", groups " << s.groups;
}

inline std::size_t as_size(std::int64_t n) { return static_cast<std::size_t>(n); }

struct ConvWindow {
  std::int64_t kernel_height, kernel_width, stride, dilation, pad;
};

// The output has the size that padding by `pad` on every side gives.
inline Conv2dShape shape_of(std::int64_t batch, std::int64_t height, std::int64_t width,
                            std::int64_t in_channels, std::int64_t out_channels,
                            std::int64_t groups, ConvWindow window) {
  const auto out_size = [&](std::int64_t size, std::int64_t kernel) {
    return (size + 2 * window.pad - window.dilation * (kernel - 1) - 1) / window.stride + 1;
  };
  return {.batch = batch,
          .height = height,
          .width = width,
          .in_channels = in_channels,
          .out_height = out_size(height, window.kernel_height),
          .out_width = out_size(width, window.kernel_width),
          .out_channels = out_channels,
          .groups = groups,
          .kernel_height = window.kernel_height,
          .kernel_width = window.kernel_width,
          .stride_y = window.stride,
          .stride_x = window.stride,
          .dilation_y = window.dilation,
          .dilation_x = window.dilation,
          .pad_top = window.pad,
          .pad_left = window.pad};
}

// Kinds of convolutions, with sizes around the tiles and blocks.
inline std::vector<Conv2dShape> conv_shapes() {
  std::vector<Conv2dShape> shapes = {
      shape_of(1, 1, 1, 1, 1, 1, {1, 1, 1, 1, 0}),
      shape_of(2, 3, 5, 64, 128, 1, {1, 1, 1, 1, 0}),
      shape_of(1, 4, 4, 33, 65, 1, {1, 1, 1, 1, 0}),
      shape_of(1, 9, 7, 8, 12, 1, {1, 1, 2, 1, 0}),
      shape_of(1, 5, 17, 3, 4, 1, {3, 3, 1, 1, 1}),
      shape_of(2, 8, 8, 3, 5, 1, {3, 3, 2, 1, 1}),
      shape_of(1, 6, 6, 5, 3, 1, {3, 3, 1, 2, 2}),
      shape_of(1, 6, 6, 5, 3, 1, {2, 5, 1, 1, 4}),  // windows that miss the image
      shape_of(1, 16, 16, 3, 20, 1, {8, 8, 8, 1, 0}),
      shape_of(1, 2, 2, 100, 2, 1, {3, 3, 1, 1, 1}),
      shape_of(1, 2, 3, 600, 200, 1, {1, 1, 1, 1, 0}),  // weights widened in parts
      shape_of(1, 1, 2, 1201 * 2, 2 * 70, 2, {1, 1, 1, 1, 0}),
      shape_of(1, 5, 5, 8, 8, 2, {3, 3, 1, 1, 1}),
      shape_of(1, 5, 5, 6, 9, 3, {1, 1, 1, 1, 0}),
      shape_of(1, 4, 4, 4, 8, 4, {3, 3, 1, 1, 1}),  // two outputs a channel
      shape_of(1, 4, 4, 3, 3, 3, {3, 3, 1, 1, 1}),
      shape_of(2, 6, 5, 64, 64, 64, {3, 3, 1, 1, 1}),
      shape_of(1, 7, 7, 67, 67, 67, {5, 5, 2, 1, 2}),
      shape_of(1, 6, 6, 17, 17, 17, {3, 3, 1, 2, 2}),
      shape_of(1, 3, 3, 131, 131, 131, {7, 7, 1, 1, 3}),
  };
  shapes.push_back(shape_of(1, 5, 6, 4, 4, 1, {2, 3, 1, 1, 1}));  // everything differs per axis
  shapes.back().stride_x = 2;
  shapes.back().dilation_y = 3;
  shapes.back().pad_left = 2;
  shapes.back().out_height = 4;
  shapes.back().out_width = 4;
  return shapes;
}

struct ConvCodeTypes {
  CodeType x, y, accumulator;
};

inline const std::vector<ConvCodeTypes> kConvTypes = {
    {CodeType::kUInt8, CodeType::kUInt8, CodeType::kInt32},
    {CodeType::kInt8, CodeType::kInt8, CodeType::kInt32},
    {CodeType::kUInt8, CodeType::kInt16, CodeType::kInt32},
    {CodeType::kInt16, CodeType::kUInt8, CodeType::kInt32},
    {CodeType::kInt16, CodeType::kInt16, CodeType::kInt64},
    {CodeType::kInt8, CodeType::kInt32, CodeType::kInt32},
};

// A convolution with its data. Rows and pixels of x and y have gaps; those of y must stay as they
// are.
class ConvProblem {
 public:
  ConvProblem(const Conv2dShape& shape, ConvCodeTypes types, std::uint32_t seed)
      : shape_(shape),
        x_(Codes::random(types.x, shape.batch * x_image(), seed)),
        y_(Codes::random(types.y, shape.batch * y_image(), seed + 1)),
        weights_(as_size(shape.out_channels * taps() * shape.in_channels / shape.groups)),
        start_(as_size(shape.out_channels)),
        scratch_(conv2d_scratch_bytes(shape) / sizeof(std::int64_t)) {
    std::mt19937 random(seed);
    for (std::int8_t& w : weights_) w = static_cast<std::int8_t>(random() % 256);
    const std::int64_t reach = types.x == CodeType::kInt16 ? 20 : 12;
    for (std::int64_t i = 0; i < shape.out_channels; ++i) {
      bias_.push_back(static_cast<std::int32_t>(random() % 200001) - 100000);
      multipliers_.push_back({static_cast<std::int32_t>((1U << 30) + random() % (1U << 30)),
                              static_cast<std::int32_t>(reach + 31 + random() % 4)});
    }
    for (std::int64_t i = 0; i < shape.out_channels * taps(); ++i) {
      tap_offset_.push_back(static_cast<std::int32_t>(random() % 2001) - 1000);
    }
    types_ = types;
    rounding_ = static_cast<Rounding>(seed % 3);
    zero_point_ = static_cast<std::int32_t>(x_.size() > 0 ? x_.at(0) : 0);
  }

  [[nodiscard]] std::int64_t rows() const { return shape_.batch * shape_.out_height; }
  [[nodiscard]] Codes& x() { return x_; }
  [[nodiscard]] const Codes& y() const { return y_; }
  [[nodiscard]] std::vector<std::int8_t>& weights() { return weights_; }
  void set_zero_point(std::int32_t zero_point) { zero_point_ = zero_point; }

  // Of the same data; y's codes are those of its type.
  Conv2dArgs args(const std::int32_t* tap_offset = nullptr) {
    const bool is_wide = types_.y == CodeType::kInt32;
    Conv2dArgs args{.y = y_.data(),
                    .scratch = scratch_.data(),
                    .x = x_.data(),
                    .weights = weights_.data(),
                    .start = start_.data(),
                    .bias = bias_.data(),
                    .tap_offset = tap_offset,
                    .multipliers = multipliers_.data(),
                    .y_column_stride = shape_.out_channels + 1,
                    .y_row_stride = y_row(),
                    .y_batch_stride = y_image(),
                    .x_column_stride = shape_.in_channels + 2,
                    .x_row_stride = x_row(),
                    .x_batch_stride = x_image(),
                    .shape = shape_,
                    .codes = full_range(types_.y, is_wide ? -5 : 3, rounding_),
                    .y_type = types_.y,
                    .x_type = types_.x,
                    .accumulator_type = types_.accumulator,
                    .x_zero_point = zero_point_};
    prepare_conv2d(start_.data(), args);
    return args;
  }

  Conv2dArgs image_args() { return args(tap_offset_.data()); }

 private:
  [[nodiscard]] std::int64_t taps() const { return shape_.kernel_height * shape_.kernel_width; }
  [[nodiscard]] std::int64_t x_row() const { return shape_.width * (shape_.in_channels + 2) + 3; }
  [[nodiscard]] std::int64_t y_row() const {
    return shape_.out_width * (shape_.out_channels + 1) + 2;
  }
  [[nodiscard]] std::int64_t x_image() const { return shape_.height * x_row() + 5; }
  [[nodiscard]] std::int64_t y_image() const { return shape_.out_height * y_row() + 4; }

  Conv2dShape shape_;
  ConvCodeTypes types_{};
  Codes x_, y_;
  std::vector<std::int8_t> weights_;
  std::vector<std::int64_t> start_, scratch_;
  std::vector<std::int32_t> bias_, tap_offset_;
  std::vector<Multiplier> multipliers_;
  Rounding rounding_;
  std::int32_t zero_point_;
};

}  // namespace hybridquant::kernels

#include "kernels/linear.h"

namespace hybridquant::kernels {

Conv2dArgs linear_as_conv2d(const LinearArgs& args) {
  return {.y = args.y,
          .scratch = args.scratch,
          .x = args.x,
          .weights = args.weights,
          .start = args.start,
          .bias = args.bias,
          .tap_offset = nullptr,
          .multipliers = args.multipliers,
          .y_column_stride = 0,
          .y_row_stride = args.y_row_stride,
          .y_batch_stride = 0,
          .x_column_stride = 0,
          .x_row_stride = args.x_row_stride,
          .x_batch_stride = 0,
          .shape = {.batch = 1,
                    .height = args.rows,
                    .width = 1,
                    .in_channels = args.in_features,
                    .out_height = args.rows,
                    .out_width = 1,
                    .out_channels = args.out_features,
                    .groups = 1,
                    .kernel_height = 1,
                    .kernel_width = 1,
                    .stride_y = 1,
                    .stride_x = 1,
                    .dilation_y = 1,
                    .dilation_x = 1,
                    .pad_top = 0,
                    .pad_left = 0},
          .codes = args.codes,
          .y_type = args.y_type,
          .x_type = args.x_type,
          .accumulator_type = args.accumulator_type,
          .x_zero_point = args.x_zero_point};
}

void linear(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  conv2d(linear_as_conv2d(args), begin, end);
}

void linear_ref(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  conv2d_ref(linear_as_conv2d(args), begin, end);
}

}  // namespace hybridquant::kernels

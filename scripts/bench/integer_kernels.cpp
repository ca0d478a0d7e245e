// Prints the speed of the integer products on one thread: best of many runs, for each instruction
// set. The preset kernels-only builds it, as build/kernels-only/tests/cpp/bench_integer_kernels.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr int kRuns = 60;

template <typename Run>
double best_seconds(const Run& run) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (seconds.count() < best) best = seconds.count();
  }
  return best;
}

std::size_t as_size(std::int64_t n) { return static_cast<std::size_t>(n); }

void print_speed(const char* name, Isa isa, std::int64_t products, double seconds) {
  std::printf("%-28s %-9s %8.1f G products/s\n", name, isa_name(isa),
              static_cast<double>(products) / seconds / 1e9);
}

// Square images, square kernels that keep the size; uint8 in and out.
void time_conv2d(const char* name, std::int64_t size, std::int64_t in, std::int64_t out,
                 std::int64_t kernel, std::int64_t groups) {
  const Conv2dShape shape{.batch = 1,
                          .height = size,
                          .width = size,
                          .in_channels = in,
                          .out_height = size,
                          .out_width = size,
                          .out_channels = out,
                          .groups = groups,
                          .kernel_height = kernel,
                          .kernel_width = kernel,
                          .stride_y = 1,
                          .stride_x = 1,
                          .dilation_y = 1,
                          .dilation_x = 1,
                          .pad_top = kernel / 2,
                          .pad_left = kernel / 2};
  const std::vector<std::uint8_t> x(as_size(size * size * in), 200);
  const std::vector<std::int8_t> weights(as_size(out * kernel * kernel * in / groups), 50);
  const std::vector<Multiplier> multipliers(as_size(out), {1 << 30, 40});
  std::vector<std::uint8_t> y(as_size(size * size * out));
  std::vector<std::int64_t> scratch(conv2d_scratch_bytes(shape) / sizeof(std::int64_t));
  std::vector<std::int64_t> start(as_size(out));
  Conv2dArgs args{.y = y.data(),
                  .scratch = scratch.data(),
                  .x = x.data(),
                  .weights = weights.data(),
                  .start = start.data(),
                  .bias = nullptr,
                  .tap_offset = nullptr,
                  .multipliers = multipliers.data(),
                  .y_column_stride = out,
                  .y_row_stride = out * size,
                  .y_batch_stride = out * size * size,
                  .x_column_stride = in,
                  .x_row_stride = in * size,
                  .x_batch_stride = in * size * size,
                  .shape = shape,
                  .codes = {3, 0, 255, Rounding::kSingle},
                  .y_type = CodeType::kUInt8,
                  .x_type = CodeType::kUInt8,
                  .accumulator_type = CodeType::kInt32,
                  .x_zero_point = 100};
  prepare_conv2d(start.data(), args);
  for (const Isa isa : kAllIsas) {
    if (!is_available(isa)) continue;
    const double seconds = best_seconds([&] { kernels_for(isa).conv2d(args, 0, size); });
    print_speed(name, isa, size * size * out * kernel * kernel * in / groups, seconds);
  }
}

// [tokens, width] by its transpose, as attention's scores, and [tokens, tokens] by [tokens, width].
void time_attention(std::int64_t tokens, std::int64_t width) {
  const std::vector<std::uint8_t> x(as_size(tokens * width), 200);
  const std::vector<std::uint8_t> scores(as_size(tokens * tokens), 9);
  std::vector<std::uint8_t> y(as_size(tokens * tokens));
  const Multiplier multiplier = {1 << 30, 40};
  MatmulCodesArgs args{.y = y.data(),
                       .scratch = nullptr,
                       .a = {x.data(), CodeType::kUInt8, 100, 0, width, 1},
                       .b = {x.data(), CodeType::kUInt8, 100, 0, width, 1},
                       .multiplier = &multiplier,
                       .y_batch_stride = 0,
                       .y_row_stride = tokens,
                       .batch = 1,
                       .rows = tokens,
                       .columns = tokens,
                       .depth = width,
                       .codes = {3, 0, 255, Rounding::kSingle},
                       .y_type = CodeType::kUInt8,
                       .accumulator_type = CodeType::kInt32};
  MatmulCodesArgs mixed = args;
  mixed.a = {scores.data(), CodeType::kUInt8, 0, 0, tokens, 1};
  mixed.b = {x.data(), CodeType::kUInt8, 100, 0, 1, width};
  mixed.y_row_stride = mixed.columns = width;
  mixed.depth = tokens;
  for (MatmulCodesArgs* each : {&args, &mixed}) {
    std::vector<std::int64_t> scratch(matmul_codes_scratch_bytes(*each) / sizeof(std::int64_t));
    each->scratch = scratch.data();
    for (const Isa isa : kAllIsas) {
      if (!is_available(isa)) continue;
      const double seconds =
          best_seconds([&] { kernels_for(isa).matmul_codes(*each, 0, each->rows); });
      print_speed(each == &args ? "q k^T, 196 tokens of 64" : "scores v, 196 tokens of 64", isa,
                  tokens * tokens * width, seconds);
    }
  }
}

}  // namespace
}  // namespace hybridquant::kernels

int main() {
  using hybridquant::kernels::time_attention;
  using hybridquant::kernels::time_conv2d;
  time_conv2d("1x1 64 to 128, 32x32", 32, 64, 128, 1, 1);
  time_conv2d("3x3 64 to 64, 32x32", 32, 64, 64, 3, 1);
  time_conv2d("3x3 depthwise 128, 32x32", 32, 128, 128, 3, 128);
  time_conv2d("3x3 3 to 16, 128x128", 128, 3, 16, 3, 1);
  time_conv2d("1x1 384 to 384, 14x14", 14, 384, 384, 1, 1);
  time_attention(196, 64);
  return 0;
}

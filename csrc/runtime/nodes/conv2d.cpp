// Convolutions and linear layers: codes times constant weights.
#include "kernels/conv2d.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/linear.h"
#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

using kernels::Conv2dShape;

constexpr std::int64_t kLargestSize = std::int64_t{1} << 20;

// What a step owns: the constants as kernels read them.
struct Weights {
  std::vector<std::int8_t> plain;  // [outputs, taps, channels]
  std::vector<std::int64_t> start;
  std::vector<std::int32_t> bias;
  std::vector<std::int32_t> tap_offset;  // [taps, outputs]; empty: zeros
  std::vector<kernels::Multiplier> multipliers;
};

// Largest magnitude of an output's accumulator: every weight meets its largest code.
std::int64_t largest_sum(const Weights& weights, std::int64_t output, std::int64_t per_output,
                         std::int64_t taps, std::int64_t magnitude) {
  std::int64_t weight_sum = 0;
  for (std::int64_t i = output * per_output; i < (output + 1) * per_output; ++i) {
    weight_sum += std::abs(std::int64_t{weights.plain[static_cast<std::size_t>(i)]});
  }
  std::int64_t offset_sum = 0;
  if (!weights.tap_offset.empty()) {
    const auto outputs = static_cast<std::int64_t>(weights.tap_offset.size()) / taps;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const auto i = static_cast<std::size_t>(tap * outputs + output);
      offset_sum += std::abs(std::int64_t{weights.tap_offset[i]});
    }
  }
  const std::int64_t bias = std::abs(std::int64_t{weights.bias[static_cast<std::size_t>(output)]});
  return weight_sum * magnitude + offset_sum + bias;
}

// The type that every accumulator fits. Throws where there is none.
CodeType accumulator_type(const Compiler& compiler, const Weights& weights, const Value& x,
                          std::int64_t outputs, std::int64_t taps) {
  const auto per_output = static_cast<std::int64_t>(weights.plain.size()) / outputs;
  std::int64_t largest = 0;
  for (std::int64_t output = 0; output < outputs; ++output) {
    const std::int64_t sum = largest_sum(weights, output, per_output, taps, x.magnitude());
    largest = std::max(largest, sum);
    // What is requantized must stay below 2^62 before it is clamped.
    const kernels::Multiplier by = weights.multipliers[static_cast<std::size_t>(output)];
    const kernels::Int128 product = kernels::Int128{sum} * std::abs(std::int64_t{by.m});
    require((product >> by.shift) < kernels::Int128{1} << 61, compiler.where(),
            ": requantized sums must be below 2^61, got output ", output, " with m ", by.m,
            " and shift ", by.shift);
  }
  if (largest < std::int64_t{1} << 31) return CodeType::kInt32;
  require(x.type == CodeType::kInt16 && largest < std::int64_t{1} << 47, compiler.where(),
          ": sums must be below 2^31, or below 2^47 for int16 inputs, got ", largest);
  return CodeType::kInt64;
}

Conv2dShape read_shape(Compiler& compiler, const Value& x, std::int64_t out_channels) {
  Attributes& attributes = compiler.attributes();
  const auto stride = attributes.get_ints("stride", 2, 1, kLargestSize);
  const auto padding = attributes.get_ints("padding", 2, 0, kLargestSize);
  const auto dilation = attributes.get_ints("dilation", 2, 1, kLargestSize);
  const std::int64_t groups = attributes.get_int("groups", 1, x.view.sizes[1]);
  const Shape& out = compiler.output().shape;
  require(x.view.sizes[1] % groups == 0 && out_channels % groups == 0, compiler.where(),
          ": groups must divide the channels ", x.view.sizes[1], " and ", out_channels, ", got ",
          groups);
  return {.batch = x.view.sizes[0],
          .height = x.view.sizes[2],
          .width = x.view.sizes[3],
          .in_channels = x.view.sizes[1],
          .out_height = out[2],
          .out_width = out[3],
          .out_channels = out_channels,
          .groups = groups,
          .kernel_height = 0,
          .kernel_width = 0,
          .stride_y = stride[0],
          .stride_x = stride[1],
          .dilation_y = dilation[0],
          .dilation_x = dilation[1],
          .pad_top = padding[0],
          .pad_left = padding[1]};
}

// Sizes of the output along an axis; the window must fit into the padded image.
std::int64_t out_size(const Compiler& compiler, std::int64_t size, std::int64_t pad,
                      std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  const std::int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1;
  require(room >= 0, compiler.where(), ": the weight's window must fit into the padded image of ",
          size + 2 * pad, ", got ", kernel, " taps with dilation ", dilation);
  return room / stride + 1;
}

// [outputs, taps, channels] from [outputs, channels, taps].
std::vector<std::int8_t> channels_last_weights(const std::vector<std::int8_t>& weights,
                                               std::int64_t outputs, std::int64_t channels,
                                               std::int64_t taps) {
  std::vector<std::int8_t> result(weights.size());
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t t = 0; t < taps; ++t) {
        result[static_cast<std::size_t>((o * taps + t) * channels + c)] =
            weights[static_cast<std::size_t>((o * channels + c) * taps + t)];
      }
    }
  }
  return result;
}

// [taps, outputs] from [outputs, taps].
std::vector<std::int32_t> channels_last_offsets(const std::vector<std::int32_t>& offsets,
                                                std::int64_t outputs, std::int64_t taps) {
  std::vector<std::int32_t> result(offsets.size());
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t t = 0; t < taps; ++t) {
      result[static_cast<std::size_t>(t * outputs + o)] =
          offsets[static_cast<std::size_t>(o * taps + t)];
    }
  }
  return result;
}

// The weights of a conv2d node; fills the kernel's sizes.
Weights read_weights(Compiler& compiler, Conv2dShape& shape, const Shape& stored) {
  const std::int64_t channels = shape.in_channels / shape.groups;
  require(stored.size() == 4 && stored[1] == channels && stored[2] <= kLargestSize &&
              stored[3] <= kLargestSize,
          compiler.where(), ": weight must have shape [", shape.out_channels, ", ", channels,
          ", height, width], got ", list_text(stored));
  shape.kernel_height = stored[2];
  shape.kernel_width = stored[3];
  const std::int64_t taps = stored[2] * stored[3];
  Weights weights;
  weights.plain =
      channels_last_weights(compiler.int8s("weight", stored), stored[0], channels, taps);
  weights.bias = compiler.int32s("bias", {stored[0]});
  weights.multipliers = compiler.multipliers(stored[0]);
  if (compiler.has_constant("tap_offset")) {
    weights.tap_offset = channels_last_offsets(
        compiler.int32s("tap_offset", {stored[0], stored[2], stored[3]}), stored[0], taps);
  }
  return weights;
}

// The weights with what the kernels' sums begin with.
std::shared_ptr<const Weights> prepared(Weights weights, const Conv2dShape& shape,
                                        std::int64_t zero_point) {
  kernels::Conv2dArgs args{};
  args.weights = weights.plain.data();
  args.bias = weights.bias.data();
  args.tap_offset = weights.tap_offset.empty() ? nullptr : weights.tap_offset.data();
  args.shape = shape;
  args.x_zero_point = static_cast<std::int32_t>(zero_point);
  weights.start.resize(static_cast<std::size_t>(shape.out_channels));
  kernels::prepare_conv2d(weights.start.data(), args);
  weights.bias = {};  // part of the start
  return std::make_shared<const Weights>(std::move(weights));
}

std::int64_t bytes_of(const Weights& weights) {
  return static_cast<std::int64_t>(weights.plain.size() +
                                   weights.start.size() * sizeof(std::int64_t) +
                                   weights.tap_offset.size() * sizeof(std::int32_t) +
                                   weights.multipliers.size() * sizeof(kernels::Multiplier));
}

void bind(kernels::Conv2dArgs& args, const Weights& weights) {
  args.weights = weights.plain.data();
  args.start = weights.start.data();
  args.tap_offset = weights.tap_offset.empty() ? nullptr : weights.tap_offset.data();
  args.multipliers = weights.multipliers.data();
}

void add_product(Compiler& compiler, const kernels::Conv2dArgs& args, Weights weights,
                 const Value& x, const Value& y) {
  const Conv2dShape& shape = args.shape;
  const std::int64_t products =
      num_elements(y.view.sizes) *
      (static_cast<std::int64_t>(weights.plain.size()) / shape.out_channels);
  auto owned = prepared(std::move(weights), shape, x.zero_point);
  compiler.count_constants(bytes_of(*owned));
  compiler.add({.run =
                    [args, owned, x, y](const Memory& memory, std::int64_t begin, std::int64_t end,
                                        std::byte* scratch) {
                      kernels::Conv2dArgs bound = args;
                      bind(bound, *owned);
                      bound.x = start_of(memory, x);
                      bound.y = start_of(memory, y);
                      bound.scratch = scratch;
                      kernels::conv2d(bound, begin, end);
                    },
                .num_items = shape.batch * shape.out_height,
                .cost = products,
                .reads = {x.buffer},
                .writes = y.buffer,
                .scratch_bytes = static_cast<std::int64_t>(kernels::conv2d_scratch_bytes(shape))});
  compiler.finish(y);
}

Value checked_input(Compiler& compiler) {
  const Value x = compiler.inputs(1)[0];
  compiler.check_type(x, "the input", {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16});
  compiler.check_output_type(
      {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32});
  return x;
}

kernels::Conv2dArgs common_args(Compiler& compiler, const Value& x, const Value& y) {
  kernels::Conv2dArgs args{};
  args.codes = compiler.rounded_codes();
  args.x_type = x.type;
  args.y_type = y.type;
  args.x_zero_point = static_cast<std::int32_t>(x.zero_point);
  return args;
}

void compile_conv2d(Compiler& compiler) {
  Value x = checked_input(compiler);
  const Shape& out = compiler.output().shape;
  require(x.view.rank() == 4 && out.size() == 4, compiler.where(),
          ": input and output must have 4 axes, got ", list_text(x.view.sizes), " and ",
          list_text(out));
  const Shape stored = compiler.constant_shape("weight");
  require(!stored.empty() && stored[0] == out[1], compiler.where(), ": weight must have ", out[1],
          " outputs, got ", list_text(stored));
  Conv2dShape shape = read_shape(compiler, x, out[1]);
  Weights weights = read_weights(compiler, shape, stored);
  compiler.check_output({shape.batch, out[1],
                         out_size(compiler, shape.height, shape.pad_top, shape.kernel_height,
                                  shape.stride_y, shape.dilation_y),
                         out_size(compiler, shape.width, shape.pad_left, shape.kernel_width,
                                  shape.stride_x, shape.dilation_x)});
  const CodeType type =
      accumulator_type(compiler, weights, x, out[1], shape.kernel_height * shape.kernel_width);
  if (x.view.strides[1] != 1 && shape.in_channels > 1) {
    x = compiler.copied(x, channels_last(x.view.sizes));
  }
  const Value y = compiler.allocate(channels_last(out));
  kernels::Conv2dArgs args = common_args(compiler, x, y);
  args.shape = shape;
  args.accumulator_type = type;
  args.x_batch_stride = x.view.strides[0];
  args.x_row_stride = x.view.strides[2];
  args.x_column_stride = x.view.strides[3];
  args.y_batch_stride = y.view.strides[0];
  args.y_row_stride = y.view.strides[2];
  args.y_column_stride = y.view.strides[3];
  add_product(compiler, args, std::move(weights), x, y);
}

void compile_linear(Compiler& compiler) {
  Value x = checked_input(compiler);
  const Shape stored = compiler.constant_shape("weight");
  const std::int64_t features = x.view.sizes.back();
  require(stored.size() == 2 && stored[1] == features, compiler.where(),
          ": weight must have shape [outputs, ", features, "], got ", list_text(stored));
  Shape shape = x.view.sizes;
  shape.back() = stored[0];
  compiler.check_output(shape);
  Weights weights;
  weights.plain = compiler.int8s("weight", stored);
  weights.bias = compiler.int32s("bias", {stored[0]});
  weights.multipliers = compiler.multipliers(stored[0]);
  const CodeType type = accumulator_type(compiler, weights, x, stored[0], /*taps=*/1);
  // Rows of neighbouring features.
  const std::int64_t num_rows = num_elements(x.view.sizes) / features;
  x = compiler.row_major_unless(x.view.strides.back() == 1 || features == 1, x);
  x = compiler.with_shape(x, {num_rows, features});
  const Value y = compiler.allocate(row_major(shape));
  kernels::LinearArgs rows{};
  rows.y_row_stride = stored[0];
  rows.x_row_stride = x.view.strides[0];
  rows.rows = num_rows;
  rows.in_features = features;
  rows.out_features = stored[0];
  rows.codes = compiler.rounded_codes();
  rows.y_type = y.type;
  rows.x_type = x.type;
  rows.accumulator_type = type;
  rows.x_zero_point = static_cast<std::int32_t>(x.zero_point);
  add_product(compiler, kernels::linear_as_conv2d(rows), std::move(weights), x, y);
}

}  // namespace

void register_conv2d(NodeRegistry& nodes) {
  nodes["conv2d"] = compile_conv2d;
  nodes["linear"] = compile_linear;
}

}  // namespace hybridquant::runtime

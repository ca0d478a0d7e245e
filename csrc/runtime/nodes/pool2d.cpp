// Average and maximum pooling of images.
#include "kernels/pool2d.h"

#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

using kernels::Multiplier;
using kernels::Pooling;

constexpr std::int64_t kLargestWindow = std::int64_t{1} << 15;

// Sizes of the output along an axis; every window must hold a position of the image.
std::int64_t out_size(const Compiler& compiler, std::int64_t size, std::int64_t kernel,
                      std::int64_t stride, std::int64_t padding) {
  require(padding < kernel && kernel <= size + 2 * padding, compiler.where(),
          ": padding must be below the kernel, and the kernel fit into the padded image of ",
          size + 2 * padding, ", got padding ", padding, " and kernel ", kernel);
  return (size + 2 * padding - kernel) / stride + 1;
}

kernels::Pool2dShape read_shape(Compiler& compiler, const Value& x) {
  Attributes& attributes = compiler.attributes();
  const auto kernel = attributes.get_ints("kernel", 2, 1, kLargestWindow);
  const auto stride = attributes.get_ints("stride", 2, 1, kLargestWindow);
  const auto padding = attributes.get_ints("padding", 2, 0, kLargestWindow);
  require(x.view.rank() == 4, compiler.where(), ": the input must have 4 axes, got ",
          list_text(x.view.sizes));
  const Shape& sizes = x.view.sizes;
  return {.batch = sizes[0],
          .height = sizes[2],
          .width = sizes[3],
          .channels = sizes[1],
          .out_height = out_size(compiler, sizes[2], kernel[0], stride[0], padding[0]),
          .out_width = out_size(compiler, sizes[3], kernel[1], stride[1], padding[1]),
          .kernel_height = kernel[0],
          .kernel_width = kernel[1],
          .stride_y = stride[0],
          .stride_x = stride[1],
          .pad_top = padding[0],
          .pad_left = padding[1]};
}

std::vector<Multiplier> read_multipliers(Compiler& compiler, const Value& x,
                                         const kernels::Pool2dShape& shape) {
  const std::int64_t window = shape.kernel_height * shape.kernel_width;
  require(window <= kLargestWindow && x.magnitude() * window < std::int64_t{1} << 31,
          compiler.where(), ": the kernel must hold at most ", kLargestWindow,
          " positions whose sum is below 2^31, got ", window);
  return compiler.multipliers(window);
}

void compile(Compiler& compiler, Pooling pooling) {
  Value x = compiler.inputs(1)[0];
  compiler.check_type(x, "the input", {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16});
  kernels::Pool2dArgs args{};
  args.shape = read_shape(compiler, x);
  const Shape out = {args.shape.batch, args.shape.channels, args.shape.out_height,
                     args.shape.out_width};
  compiler.check_output(out);
  std::vector<Multiplier> multipliers;
  if (pooling == Pooling::kAverage) {
    multipliers = read_multipliers(compiler, x, args.shape);
    args.codes = compiler.rounded_codes();
  } else {
    compiler.check_same_codes(x, "the input");
  }
  if (x.view.strides[1] != 1 && args.shape.channels > 1) {
    x = compiler.copied(x, channels_last(x.view.sizes));
  }
  const Value y = compiler.allocate(channels_last(out));
  args.y_column_stride = y.view.strides[3];
  args.y_row_stride = y.view.strides[2];
  args.y_batch_stride = y.view.strides[0];
  args.x_column_stride = x.view.strides[3];
  args.x_row_stride = x.view.strides[2];
  args.x_batch_stride = x.view.strides[0];
  args.pooling = pooling;
  args.y_type = y.type;
  args.x_type = x.type;
  args.x_zero_point = static_cast<std::int32_t>(x.zero_point);
  compiler.add({.run =
                    [args, multipliers = std::move(multipliers), x, y](
                        const Memory& memory, std::int64_t begin, std::int64_t end, std::byte*) {
                      kernels::Pool2dArgs bound = args;
                      bound.multipliers = multipliers.data();
                      bound.x = start_of(memory, x);
                      bound.y = start_of(memory, y);
                      kernels::pool2d(bound, begin, end);
                    },
                .num_items = args.shape.batch * args.shape.out_height,
                .cost = num_elements(out) * args.shape.kernel_height * args.shape.kernel_width,
                .reads = {x.buffer},
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_pool2d(NodeRegistry& nodes) {
  nodes["avg_pool2d"] = [](Compiler& compiler) { compile(compiler, Pooling::kAverage); };
  nodes["max_pool2d"] = [](Compiler& compiler) { compile(compiler, Pooling::kMaximum); };
}

}  // namespace hybridquant::runtime

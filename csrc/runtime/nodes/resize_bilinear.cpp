// Bilinear resizing of images.
#include "kernels/resize_bilinear.h"

#include <memory>
#include <string>

#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

// The two sources of each output position along an axis, and the weight of the second.
struct Taps {
  std::vector<std::int32_t> low, high, weight;

  [[nodiscard]] kernels::ResizeTaps view() const {
    return {.low = low.data(), .high = high.data(), .weight = weight.data()};
  }
};

struct ImageTaps {
  Taps rows, columns;
};

Taps read_taps(Compiler& compiler, const std::string& name, std::int64_t size, std::int64_t out) {
  Taps taps{compiler.int32s(name + "_low", {out}), compiler.int32s(name + "_high", {out}),
            compiler.int32s(name + "_weight", {out})};
  for (std::size_t i = 0; i < taps.low.size(); ++i) {
    require(taps.low[i] >= 0 && taps.low[i] < size && taps.high[i] >= 0 && taps.high[i] < size,
            compiler.where(), ": ", name, "_low and ", name, "_high must be 0 to ", size - 1,
            ", got ", taps.low[i], " and ", taps.high[i]);
    require(taps.weight[i] >= 0 && taps.weight[i] <= kernels::kResizeOne, compiler.where(), ": ",
            name, "_weight must be 0 to ", kernels::kResizeOne, ", got ", taps.weight[i]);
  }
  return taps;
}

void compile(Compiler& compiler) {
  Value x = compiler.inputs(1)[0];
  compiler.check_type(x, "the input", {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16});
  const Shape& out = compiler.output().shape;
  const Shape sizes = x.view.sizes;
  require(sizes.size() == 4 && out.size() == 4, compiler.where(),
          ": input and output must have 4 axes, got ", list_text(sizes), " and ", list_text(out));
  compiler.check_output({sizes[0], sizes[1], out[2], out[3]});
  const auto taps = std::make_shared<const ImageTaps>(
      ImageTaps{read_taps(compiler, "rows", sizes[2], out[2]),
                read_taps(compiler, "columns", sizes[3], out[3])});
  if (x.view.strides[1] != 1 && sizes[1] > 1) x = compiler.copied(x, channels_last(sizes));
  const Value y = compiler.allocate(channels_last(out));
  kernels::ResizeBilinearArgs args{};
  args.shape = {.batch = sizes[0],
                .height = sizes[2],
                .width = sizes[3],
                .channels = sizes[1],
                .out_height = out[2],
                .out_width = out[3]};
  args.rows = taps->rows.view();
  args.columns = taps->columns.view();
  args.by = compiler.attributes().get_multiplier();
  require(x.type != CodeType::kInt16 || args.by.shift >= 16, compiler.where(),
          ": shift must be at least 16 for int16 inputs, got ", args.by.shift);
  args.codes = compiler.rounded_codes();
  args.y_column_stride = y.view.strides[3];
  args.y_row_stride = y.view.strides[2];
  args.y_batch_stride = y.view.strides[0];
  args.x_column_stride = x.view.strides[3];
  args.x_row_stride = x.view.strides[2];
  args.x_batch_stride = x.view.strides[0];
  args.y_type = y.type;
  args.x_type = x.type;
  args.x_zero_point = static_cast<std::int32_t>(x.zero_point);
  compiler.add({.run =
                    [args, taps, x, y](const Memory& memory, std::int64_t begin, std::int64_t end,
                                       std::byte*) {
                      kernels::ResizeBilinearArgs bound = args;
                      bound.x = start_of(memory, x);
                      bound.y = start_of(memory, y);
                      kernels::resize_bilinear(bound, begin, end);
                    },
                .num_items = sizes[0] * out[2],
                .cost = 4 * num_elements(out),
                .reads = {x.buffer},
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_resize_bilinear(NodeRegistry& nodes) { nodes["resize_bilinear"] = compile; }

}  // namespace hybridquant::runtime

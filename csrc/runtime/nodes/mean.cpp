// Sums, means and extremes over axes.
#include <algorithm>
#include <set>

#include "kernels/reduce_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

using kernels::Reduction;

// The axes of a view that are in `axes`, or those that are not.
View part_of(const View& view, const std::set<std::int64_t>& axes, bool is_in) {
  View part{{}, {}, 0};
  for (std::size_t axis = 0; axis < view.rank(); ++axis) {
    if (axes.contains(static_cast<std::int64_t>(axis)) != is_in) continue;
    part.sizes.push_back(view.sizes[axis]);
    part.strides.push_back(view.strides[axis]);
  }
  return part;
}

void check_bounds(const Compiler& compiler, const Value& x, Reduction reduction, std::int64_t count,
                  std::int32_t shift) {
  const std::int64_t most = reduction == Reduction::kSum ? count : 1;
  const bool is_wide = reduction == Reduction::kSum || x.type == CodeType::kInt64;
  const std::int64_t limit = std::int64_t{1} << (shift < 16 ? (is_wide ? 32 : 31) : 47);
  require(x.magnitude() < limit / most, compiler.where(), ": sums must be below ", limit,
          " with shift ", shift, ", got ", most, " codes up to ", x.magnitude());
}

void compile(Compiler& compiler, Reduction reduction) {
  const Value x = compiler.inputs(1)[0];
  const auto last = static_cast<std::int64_t>(x.view.rank()) - 1;
  const auto list = compiler.attributes().get_ints("axes", 0, last);
  const std::set<std::int64_t> axes(list.begin(), list.end());
  require(!axes.empty() && axes.size() == list.size(), compiler.where(),
          ": axes must each occur once, got ", list_text(list));
  const bool keeps = compiler.attributes().get_bool("keepdim");
  Shape shape;
  for (std::int64_t axis = 0; axis <= last; ++axis) {
    if (!axes.contains(axis)) shape.push_back(x.view.sizes[static_cast<std::size_t>(axis)]);
    if (axes.contains(axis) && keeps) shape.push_back(1);
  }
  compiler.check_output(shape);
  const View kept = part_of(x.view, axes, /*is_in=*/false);
  const View reduced = part_of(x.view, axes, /*is_in=*/true);
  const kernels::Multiplier by = compiler.attributes().get_multiplier();
  check_bounds(compiler, x, reduction, num_elements(reduced.sizes), by.shift);

  const Value y = compiler.allocate(row_major(shape));
  const Elementwise outer = elementwise(kept.sizes, {row_major(kept.sizes), kept});
  const Elementwise inner = elementwise(reduced.sizes, {reduced});
  kernels::ReduceCodesArgs args{};
  args.q = output_view(y, outer.strides[0]);
  args.x = input_codes(compiler, x, outer.strides[1]);
  std::copy(outer.sizes.begin(), outer.sizes.end(), args.sizes);
  std::copy(inner.sizes.begin(), inner.sizes.end(), args.reduced_sizes);
  std::copy(inner.strides[0].begin(), inner.strides[0].end(), args.x_reduced_strides);
  args.reduction = reduction;
  args.output = compiler.rounded_codes();
  compiler.add({.run =
                    [args, by, x, y](const Memory& memory, std::int64_t begin, std::int64_t end,
                                     std::byte*) {
                      kernels::ReduceCodesArgs bound = args;
                      bound.by = &by;
                      bound.q.data = start_of(memory, y);
                      bound.x.data = start_of(memory, x);
                      kernels::reduce_codes(bound, begin, end);
                    },
                .num_items = kernels::num_runs(args.sizes),
                .cost = num_elements(x.view.sizes),
                .reads = {x.buffer},
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_mean(NodeRegistry& nodes) {
  nodes["mean"] = [](Compiler& compiler) { compile(compiler, Reduction::kSum); };
  nodes["amax"] = [](Compiler& compiler) { compile(compiler, Reduction::kMaximum); };
  nodes["amin"] = [](Compiler& compiler) { compile(compiler, Reduction::kMinimum); };
}

}  // namespace hybridquant::runtime

// Nodes that only move codes. Most are views, which cost nothing.
#include "kernels/move_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

Value same_codes_input(Compiler& compiler) {
  const Value x = compiler.inputs(1)[0];
  compiler.check_same_codes(x, "the input");
  return x;
}

std::size_t axis_of(Compiler& compiler, const Value& x) {
  const auto last = static_cast<std::int64_t>(x.view.rank()) - 1;
  return static_cast<std::size_t>(compiler.attributes().get_int("axis", 0, last));
}

void compile_reshape(Compiler& compiler) {
  const Value x = same_codes_input(compiler);
  const Shape shape = compiler.attributes().get_shape("shape");
  compiler.check_output(shape);
  require(num_elements(shape) == num_elements(x.view.sizes), compiler.where(), ": shape must have ",
          num_elements(x.view.sizes), " elements, got ", list_text(shape));
  compiler.finish(compiler.with_shape(x, shape));
}

void compile_expand(Compiler& compiler) {
  const Value x = same_codes_input(compiler);
  compiler.check_output(compiler.attributes().get_shape("shape"));
  compiler.finish(broadcast_to_output(compiler, x, "the input"));
}

void compile_permute(Compiler& compiler) {
  Value x = same_codes_input(compiler);
  const auto last = static_cast<std::int64_t>(x.view.rank()) - 1;
  const auto axes = compiler.attributes().get_ints("axes", x.view.rank(), 0, last);
  require(std::set(axes.begin(), axes.end()).size() == axes.size(), compiler.where(),
          ": axes must each occur once, got ", list_text(axes));
  x.view = permuted(x.view, axes);
  compiler.finish(x);
}

void compile_slice(Compiler& compiler) {
  Value x = same_codes_input(compiler);
  const std::size_t axis = axis_of(compiler, x);
  const std::int64_t size = x.view.sizes[axis];
  const std::int64_t stop = compiler.attributes().get_int("stop", 1, size);
  const std::int64_t start = compiler.attributes().get_int("start", 0, stop - 1);
  const std::int64_t step = compiler.attributes().get_int("step", 1, size);
  x.view = sliced(x.view, axis, start, step, (stop - start + step - 1) / step);
  compiler.finish(x);
}

void compile_index_select(Compiler& compiler) {
  const Value x = same_codes_input(compiler);
  const std::size_t axis = axis_of(compiler, x);
  const Shape& shape = compiler.output().shape;
  require(axis < shape.size(), compiler.where(), ": the output must have ", x.view.rank(), " axes");
  const auto index = compiler.int32s("index", {shape[axis]});
  for (const std::int32_t place : index) {
    require(place >= 0 && place < x.view.sizes[axis], compiler.where(), ": index must be 0 to ",
            x.view.sizes[axis] - 1, ", got ", place);
  }
  const Value y = compiler.allocate(row_major(shape));
  // One place at a time: a view of it in x, and one in y.
  Value from = x;
  from.view = sliced(x.view, axis, 0, 1, 1);
  Value to = y;
  to.view = sliced(y.view, axis, 0, 1, 1);
  require(to.view.sizes == from.view.sizes, compiler.where(), ": output must have the sizes ",
          list_text(x.view.sizes), " but for axis ", axis, ", got ", list_text(shape));
  const kernels::MoveCodesArgs args = move_args(to.view, from.view, x.type);
  const std::int64_t size = kernels::code_size(x.type);
  const std::int64_t x_step = x.view.strides[axis] * size;
  const std::int64_t y_step = y.view.strides[axis] * size;
  compiler.add({.run =
                    [=](const Memory& memory, std::int64_t begin, std::int64_t end, std::byte*) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        kernels::MoveCodesArgs bound = args;
                        bound.q = start_of(memory, to) + i * y_step;
                        bound.x =
                            start_of(memory, from) + index[static_cast<std::size_t>(i)] * x_step;
                        kernels::move_codes(bound, 0, kernels::num_tiles(bound));
                      }
                    },
                .num_items = shape[axis],
                .cost = num_elements(shape),
                .reads = {x.buffer},
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_move(NodeRegistry& nodes) {
  nodes["reshape"] = compile_reshape;
  nodes["expand"] = compile_expand;
  nodes["permute"] = compile_permute;
  nodes["slice"] = compile_slice;
  nodes["index_select"] = compile_index_select;
}

}  // namespace hybridquant::runtime

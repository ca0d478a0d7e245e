// Concatenation and padding: codes moved into a part of the output.
#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

// The image's layout where an input has one, so that its neighbours need not copy.
View layout_for(const Shape& shape, const Value& x) {
  const bool is_image = shape.size() == 4 && x.view.rank() == 4 && x.view.strides[1] == 1;
  return is_image ? channels_last(shape) : row_major(shape);
}

void compile_cat(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs();
  const Shape& shape = compiler.output().shape;
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const auto axis = static_cast<std::size_t>(compiler.attributes().get_int("axis", 0, last));
  const Value y = compiler.allocate(layout_for(shape, inputs[0]));
  std::int64_t start = 0;
  for (const Value& input : inputs) {
    compiler.check_same_codes(input, "an input");
    Shape sizes = shape;
    if (input.view.rank() == shape.size()) sizes[axis] = input.view.sizes[axis];
    require(input.view.sizes == sizes && start + sizes[axis] <= shape[axis], compiler.where(),
            ": inputs must have the output's sizes ", list_text(shape),
            " and add up to them along axis ", axis, ", got ", list_text(input.view.sizes));
    Value part = y;
    part.view = sliced(y.view, axis, start, 1, sizes[axis]);
    compiler.copy(input, part);
    start += sizes[axis];
  }
  require(start == shape[axis], compiler.where(), ": inputs must add up to ", shape[axis],
          " along axis ", axis, ", got ", start);
  compiler.finish(y);
}

// One code as a constant of the output's shape.
Value filled(Compiler& compiler, const Value& x, std::int64_t code) {
  const auto size = static_cast<std::size_t>(kernels::code_size(x.type));
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(code >> (8 * i));
  Value value = x;
  value.buffer = compiler.add_constant(std::move(bytes));
  value.view = expanded(row_major({1}), compiler.output().shape);
  return value;
}

void compile_pad(Compiler& compiler) {
  const Value x = compiler.inputs(1)[0];
  compiler.check_same_codes(x, "the input");
  const std::int64_t code = compiler.attributes().get_int("code", x.lowest, x.highest);
  // The numbers of codes before and behind, from the last axis on.
  const auto amounts = compiler.attributes().get_ints("amounts", 0, (std::int64_t{1} << 31) - 1);
  const std::size_t rank = x.view.rank();
  require(amounts.size() % 2 == 0 && amounts.size() / 2 <= rank, compiler.where(),
          ": amounts must be pairs of numbers for at most ", rank, " axes, got ",
          list_text(amounts));
  Shape shape = x.view.sizes;
  for (std::size_t i = 0; i < amounts.size(); i += 2) {
    shape[rank - 1 - i / 2] += amounts[i] + amounts[i + 1];
  }
  compiler.check_output(shape);
  const Value y = compiler.allocate(layout_for(shape, x));
  compiler.copy(filled(compiler, x, code), y);
  Value inside = y;
  for (std::size_t i = 0; i < amounts.size(); i += 2) {
    const std::size_t axis = rank - 1 - i / 2;
    inside.view = sliced(inside.view, axis, amounts[i], 1, x.view.sizes[axis]);
  }
  compiler.copy(x, inside);
  compiler.finish(y);
}

}  // namespace

void register_cat(NodeRegistry& nodes) {
  nodes["cat"] = compile_cat;
  nodes["pad"] = compile_pad;
}

}  // namespace hybridquant::runtime

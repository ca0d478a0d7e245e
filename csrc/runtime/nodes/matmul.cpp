// Products of two activations.
#include <algorithm>

#include "kernels/matmul_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargestSum = std::int64_t{1} << 47;

// Sizes and strides of the two matrices and the result.
struct Matmul {
  Value x, y, out;
  std::size_t rank;
  std::int64_t depth;
};

Matmul read_operands(Compiler& compiler) {
  const std::vector<Value> inputs = compiler.inputs(2);
  Matmul matmul{inputs[0], inputs[1], {}, compiler.output().shape.size(), 0};
  const Shape& out = compiler.output().shape;
  for (const Value& input : inputs) {
    compiler.check_type(input, "an input",
                        {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32});
    require(input.view.rank() >= 2 && input.view.rank() <= matmul.rank, compiler.where(),
            ": inputs must have 2 to ", matmul.rank, " axes, got ", list_text(input.view.sizes));
  }
  const Shape& x = matmul.x.view.sizes;
  const Shape& y = matmul.y.view.sizes;
  matmul.depth = x.back();
  require(y[y.size() - 2] == matmul.depth && out[matmul.rank - 2] == x[x.size() - 2] &&
              out.back() == y.back(),
          compiler.where(), ": shapes must be [*, n, k] times [*, k, m] = [*, n, m], got ",
          list_text(x), ", ", list_text(y), " and ", list_text(out));
  const auto repeated = [&](const Value& value) {
    Shape sizes(out.begin(), out.end() - 2);
    const Shape& own = value.view.sizes;
    const std::size_t missing = matmul.rank - own.size();
    for (std::size_t axis = 0; axis + 2 < own.size(); ++axis) {
      require(own[axis] == 1 || own[axis] == sizes[missing + axis], compiler.where(),
              ": leading axes of ", list_text(own), " must broadcast to the output's ",
              list_text(out));
    }
    sizes.insert(sizes.end(), own.end() - 2, own.end());
    Value result = value;
    result.view = expanded(value.view, sizes);
    return result;
  };
  matmul.x = repeated(matmul.x);
  matmul.y = repeated(matmul.y);
  return matmul;
}

// The type that every sum fits.
CodeType sum_type(const Compiler& compiler, const Matmul& matmul, std::int64_t& largest) {
  const kernels::Int128 sum = kernels::Int128{matmul.depth} * matmul.x.magnitude() *
                              static_cast<kernels::Int128>(matmul.y.magnitude());
  require(sum < kLargestSum && matmul.x.magnitude() < std::int64_t{1} << 31 &&
              matmul.y.magnitude() < std::int64_t{1} << 31,
          compiler.where(), ": sums must be below 2^47, got ", matmul.depth,
          " products of codes up to ", matmul.x.magnitude(), " and ", matmul.y.magnitude());
  largest = static_cast<std::int64_t>(sum);
  return largest < std::int64_t{1} << 31 ? CodeType::kInt32 : CodeType::kInt64;
}

kernels::MatmulOperand operand(const Value& value, std::size_t outer, std::size_t depth) {
  return {.data = nullptr,
          .type = value.type,
          .zero_point = static_cast<std::int32_t>(value.zero_point),
          .batch_stride = 0,
          .outer_stride = value.view.strides[outer],
          .depth_stride = value.view.strides[depth]};
}

// Adds the products of the matrices along `batch` axes; the leading ones by a step for each
// position.
void add_steps(Compiler& compiler, const Matmul& matmul, const kernels::MatmulCodesArgs& args,
               kernels::Multiplier by, bool is_requantized) {
  // Leading axes of the three as one where they allow it.
  const auto leading = [&](const Value& value) {
    View view = value.view;
    view.sizes.resize(matmul.rank - 2);
    view.strides.resize(matmul.rank - 2);
    return view;
  };
  Elementwise axes =
      elementwise(Shape(matmul.out.view.sizes.begin(), matmul.out.view.sizes.end() - 2),
                  {leading(matmul.out), leading(matmul.x), leading(matmul.y)});
  constexpr std::size_t kLast = kernels::kNumAxes - 1;
  std::int64_t outer = 1;
  for (std::size_t axis = 0; axis < kLast; ++axis) outer *= axes.sizes[axis];
  kernels::MatmulCodesArgs base = args;
  base.batch = axes.sizes[kLast];
  base.y_batch_stride = axes.strides[0][kLast];
  base.a.batch_stride = axes.strides[1][kLast];
  base.b.batch_stride = axes.strides[2][kLast];
  for (std::int64_t index = 0; index < outer; ++index) {
    std::int64_t offsets[3] = {0, 0, 0};
    std::int64_t rest = index;
    for (std::size_t axis = kLast; axis-- > 0;) {
      for (std::size_t k = 0; k < 3; ++k) {
        offsets[k] += rest % axes.sizes[axis] * axes.strides[k][axis];
      }
      rest /= axes.sizes[axis];
    }
    Value out = matmul.out;
    Value x = matmul.x;
    Value y = matmul.y;
    out.view.offset += offsets[0];
    x.view.offset += offsets[1];
    y.view.offset += offsets[2];
    compiler.add(
        {.run =
             [base, by, is_requantized, out, x, y](const Memory& memory, std::int64_t begin,
                                                   std::int64_t end, std::byte* scratch) {
               kernels::MatmulCodesArgs bound = base;
               bound.multiplier = is_requantized ? &by : nullptr;
               bound.y = start_of(memory, out);
               bound.a.data = start_of(memory, x);
               bound.b.data = start_of(memory, y);
               bound.scratch = scratch;
               kernels::matmul_codes(bound, begin, end);
             },
         .num_items = base.batch * base.rows,
         .cost = base.batch * base.rows * base.columns * base.depth,
         .reads = {x.buffer, y.buffer},
         .writes = out.buffer,
         .scratch_bytes = static_cast<std::int64_t>(kernels::matmul_codes_scratch_bytes(base))});
  }
}

void compile(Compiler& compiler, bool is_requantized) {
  Matmul matmul = read_operands(compiler);
  std::int64_t largest = 0;
  kernels::MatmulCodesArgs args{};
  args.accumulator_type = sum_type(compiler, matmul, largest);
  kernels::Multiplier by{};
  const TensorInfo& output = compiler.output();
  if (is_requantized) {
    by = compiler.attributes().get_multiplier();
    const kernels::Int128 product = kernels::Int128{largest} * std::abs(std::int64_t{by.m});
    require((product >> by.shift) < kernels::Int128{1} << 61, compiler.where(),
            ": requantized sums must be below 2^61, got m ", by.m, " and shift ", by.shift);
    args.codes = compiler.rounded_codes();
  } else {
    compiler.check_output_type({args.accumulator_type, CodeType::kInt64});
    require(output.zero_point == 0 && output.lowest <= -largest && output.highest >= largest,
            compiler.where(), ": the output must hold sums of -", largest, " to ", largest,
            " with zero-point 0, got ", output.lowest, " to ", output.highest);
  }
  matmul.out = compiler.allocate(row_major(output.shape));
  const std::size_t last = matmul.rank - 1;
  args.a = operand(matmul.x, last - 1, last);
  args.b = operand(matmul.y, last, last - 1);
  args.rows = output.shape[last - 1];
  args.columns = output.shape[last];
  args.depth = matmul.depth;
  args.y_row_stride = args.columns;
  args.y_type = output.type;
  add_steps(compiler, matmul, args, by, is_requantized);
  compiler.finish(matmul.out);
}

}  // namespace

void register_matmul(NodeRegistry& nodes) {
  nodes["matmul"] = [](Compiler& compiler) { compile(compiler, /*is_requantized=*/true); };
  nodes["matmul_sums"] = [](Compiler& compiler) { compile(compiler, /*is_requantized=*/false); };
}

}  // namespace hybridquant::runtime

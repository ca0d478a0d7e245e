#include "kernels/matmul_codes.h"

#include <cassert>

#include "kernels/gemm.h"
#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

std::int64_t centred(const MatmulOperand& operand, std::int64_t batch, std::int64_t outer,
                     std::int64_t k) {
  const std::int64_t index =
      batch * operand.batch_stride + outer * operand.outer_stride + k * operand.depth_stride;
  return read_code(operand.data, operand.type, index) - operand.zero_point;
}

}  // namespace

std::size_t matmul_codes_scratch_bytes(const MatmulCodesArgs& args) {
  const std::int64_t elements = (kGemmRows + kGemmColumns) * padded(args.depth, kGemmDepth);
  return static_cast<std::size_t>(elements) * sizeof(std::int32_t);
}

void matmul_codes_ref(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  [[maybe_unused]] const std::int64_t limit =
      std::int64_t{1} << (args.accumulator_type == CodeType::kInt32 ? 31 : 47);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t batch = i / args.rows;
    const std::int64_t row = i % args.rows;
    const std::int64_t start = batch * args.y_batch_stride + row * args.y_row_stride;
    for (std::int64_t column = 0; column < args.columns; ++column) {
      std::int64_t acc = 0;
      for (std::int64_t k = 0; k < args.depth; ++k) {
        acc += centred(args.a, batch, row, k) * centred(args.b, batch, column, k);
      }
      assert(acc > -limit && acc < limit);
      if (args.multiplier != nullptr) {
        const std::int64_t result = requantize(acc, *args.multiplier, args.codes.rounding);
        acc = clamp_code(args.codes.zero_point + result, args.codes.lowest, args.codes.highest);
      }
      write_code(args.y, args.y_type, start + column, acc);
    }
  }
}

}  // namespace hybridquant::kernels

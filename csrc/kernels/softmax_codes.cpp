#include "kernels/softmax_codes.h"

#include <algorithm>
#include <cassert>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

std::int64_t exponential_of(const SoftmaxArgs& args, std::int64_t distance) {
  const std::int64_t entry = std::min(distance, args.table_size - 1);
  if (args.table != nullptr) return args.table[entry];
  return static_cast<std::int64_t>(args.wide_table[entry]);
}

// -log2 of e / sum, halves up after a rounding to an integer. At least `highest` where e is 0.
std::int64_t log2_code(std::int64_t e, std::int64_t sum, std::int32_t highest) {
  if (e == 0) return highest;
  const std::int64_t ratio = floor_divide(2 * sum + e, 2 * e);
  const std::int32_t k = bit_length(static_cast<std::uint64_t>(ratio)) - 1;
  return 2 * (ratio - (std::int64_t{1} << k)) >= std::int64_t{1} << k ? k + 1 : k;
}

}  // namespace

std::uint64_t softmax_exponential(const SoftmaxFormula& formula, std::int64_t distance) {
  assert(formula.x0 > 0 && formula.octaves > 0 && formula.octaves <= 30);
  std::int64_t y = -distance;
  if (formula.form == SoftmaxForm::kShift) y += (y >> 1) - (y >> 4);
  y = std::max(y, -formula.octaves * formula.x0);
  const std::int64_t k = -y / formula.x0;
  const std::int64_t r = y + k * formula.x0;  // above -x0, at most 0
  std::int64_t e = r + formula.b;
  if (formula.form == SoftmaxForm::kPolynomial) e = r * e + formula.c;
  if (formula.form == SoftmaxForm::kShift) e = formula.x0 + (r >> 1);
  assert(e >= 0 && e < std::int64_t{1} << (62 - formula.octaves));
  return static_cast<std::uint64_t>(e) << (formula.octaves - k);
}

void prepare_softmax_table(std::uint64_t* table, std::int64_t size, const SoftmaxFormula& formula) {
  for (std::int64_t d = 0; d < size; ++d) table[d] = softmax_exponential(formula, d);
}

void softmax_codes_ref(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const auto code = [&](std::int64_t i) {
      return read_code(args.q, args.q_type, row * args.q_stride + i);
    };
    std::int64_t highest = code(0);
    for (std::int64_t i = 1; i < args.n; ++i) highest = std::max(highest, code(i));
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < args.n; ++i) sum += exponential_of(args, highest - code(i));
    for (std::int64_t i = 0; i < args.n; ++i) {
      const std::int64_t e = exponential_of(args, highest - code(i));
      const std::int64_t result = args.is_log2
                                      ? log2_code(e, sum, args.codes.highest)
                                      : floor_divide(2 * e * args.m + sum * 256, sum * 512);
      write_code(args.p, args.p_type, row * args.p_stride + i,
                 clamp_code(args.codes.zero_point + result, args.codes.lowest, args.codes.highest));
    }
  }
}

}  // namespace hybridquant::kernels

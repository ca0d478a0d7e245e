#include "kernels/matmul_codes.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr Multiplier kHalf = {1 << 30, 31};

struct Size {
  std::int64_t batch, rows, columns, depth;
};

std::ostream& operator<<(std::ostream& out, const Size& s) {
  return out << s.batch << " of " << s.rows << "x" << s.depth << " times " << s.depth << "x"
             << s.columns;
}

// How the axes of an operand lie in memory.
enum class Order { kDepthLast, kOuterLast, kBatchLast };

struct Types {
  CodeType a, b, accumulator;
  std::int32_t a_zero_point, b_zero_point;
};

const std::vector<Types> kTypes = {
    {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt32, 7, -100},
    {CodeType::kUInt8, CodeType::kUInt8, CodeType::kInt64, 255, 0},
    {CodeType::kInt8, CodeType::kInt16, CodeType::kInt32, 0, 0},
    {CodeType::kInt16, CodeType::kInt8, CodeType::kInt64, 0, -128},
    {CodeType::kInt16, CodeType::kUInt8, CodeType::kInt32, 12, 3},
    {CodeType::kInt16, CodeType::kInt16, CodeType::kInt64, 0, 0},
    {CodeType::kInt16, CodeType::kInt16, CodeType::kInt64, -32768, 32767},
    {CodeType::kInt32, CodeType::kUInt8, CodeType::kInt64, 0, 3},
    {CodeType::kUInt8, CodeType::kInt32, CodeType::kInt64, 128, -9},
};

// Operands with a gap after each of the two inner axes.
MatmulOperand view(const Codes& codes, std::int32_t zero_point, Order order, std::int64_t batch,
                   std::int64_t outer, std::int64_t depth) {
  if (order == Order::kDepthLast) {
    return {codes.data(), codes.type(), zero_point, outer * (depth + 1) + 1, depth + 1, 1};
  }
  if (order == Order::kOuterLast) {
    return {codes.data(), codes.type(), zero_point, depth * (outer + 1) + 1, 1, outer + 1};
  }
  return {codes.data(), codes.type(), zero_point, 1, (batch + 1) * depth, batch + 1};
}

std::int64_t size_of(std::int64_t batch, std::int64_t outer, std::int64_t depth) {
  return (batch + 1) * (outer + 1) * (depth + 1) + 1;
}

// A product with its data; gaps in y must stay as they are.
class MatmulProblem {
 public:
  MatmulProblem(const Size& size, Types types, CodeType y_type, Order a_order, Order b_order,
                std::uint32_t seed)
      : a_(Codes::random(types.a, size_of(size.batch, size.rows, size.depth), seed)),
        b_(Codes::random(types.b, size_of(size.batch, size.columns, size.depth), seed + 1)),
        y_(Codes::random(y_type, size_of(size.batch, size.rows, size.columns), seed + 2)) {
    args_ = {.y = y_.data(),
             .scratch = nullptr,
             .a = view(a_, types.a_zero_point, a_order, size.batch, size.rows, size.depth),
             .b = view(b_, types.b_zero_point, b_order, size.batch, size.columns, size.depth),
             .multiplier = nullptr,
             .y_batch_stride = size.rows * (size.columns + 1) + 1,
             .y_row_stride = size.columns + 1,
             .batch = size.batch,
             .rows = size.rows,
             .columns = size.columns,
             .depth = size.depth,
             .codes = full_range(y_type, 3, static_cast<Rounding>(seed % 3)),
             .y_type = y_type,
             .accumulator_type = types.accumulator};
    scratch_.resize(matmul_codes_scratch_bytes(args_) / sizeof(std::int64_t));
    args_.scratch = scratch_.data();
  }

  // 32-bit codes of at most `bits` bits, so that sums keep within 2^47.
  void limit_codes(int bits) {
    for (Codes* codes : {&a_, &b_}) {
      if (codes->type() != CodeType::kInt32) continue;
      for (std::int64_t i = 0; i < codes->size(); ++i) codes->set(i, codes->at(i) >> (31 - bits));
    }
  }

  [[nodiscard]] MatmulCodesArgs& args() { return args_; }
  [[nodiscard]] std::int64_t rows() const { return args_.batch * args_.rows; }
  [[nodiscard]] Codes& a() { return a_; }
  [[nodiscard]] Codes& b() { return b_; }
  [[nodiscard]] const Codes& y() const { return y_; }

 private:
  Codes a_, b_, y_;
  std::vector<std::int64_t> scratch_;
  MatmulCodesArgs args_{};
};

TEST(MatmulCodes, ValueTable) {
  // [[0, 1], [2, 3], [-1, 4]] times [[1, -2], [3, 5]], as codes with zero-points 1 and -1.
  const std::vector<std::uint8_t> a = {1, 2, 3, 4, 0, 5};
  const std::vector<std::int8_t> b = {0, -3, 2, 4};
  const MatmulOperand left = {a.data(), CodeType::kUInt8, 1, 0, 2, 1};
  const MatmulOperand right = {b.data(), CodeType::kInt8, -1, 0, 1, 2};
  std::vector<std::int32_t> acc(6);
  MatmulCodesArgs args{.y = acc.data(),
                       .scratch = nullptr,
                       .a = left,
                       .b = right,
                       .multiplier = nullptr,
                       .y_batch_stride = 0,
                       .y_row_stride = 2,
                       .batch = 1,
                       .rows = 3,
                       .columns = 2,
                       .depth = 2,
                       .codes = {10, 0, 20, Rounding::kSingle},
                       .y_type = CodeType::kInt32,
                       .accumulator_type = CodeType::kInt32};
  matmul_codes_ref(args, 0, 3);
  EXPECT_EQ(acc, (std::vector<std::int32_t>{3, 5, 11, 11, 11, 22}));

  std::vector<std::uint8_t> y(6);
  args.y = y.data();
  args.y_type = CodeType::kUInt8;
  args.multiplier = &kHalf;
  matmul_codes_ref(args, 0, 3);
  EXPECT_EQ(y, (std::vector<std::uint8_t>{12, 13, 16, 16, 16, 20}));
}

TEST(MatmulCodes, ReferenceIsExact) {
  const Size size = {2, 5, 4, 9};
  for (const Types& types : kTypes) {
    MatmulProblem problem(size, types, CodeType::kInt64, Order::kBatchLast, Order::kOuterLast, 4);
    problem.limit_codes(30);
    const MatmulCodesArgs& args = problem.args();
    matmul_codes_ref(args, 0, problem.rows());
    for (std::int64_t i = 0; i < size.batch * size.rows * size.columns; ++i) {
      const std::int64_t n = i / (size.rows * size.columns);
      const std::int64_t row = i / size.columns % size.rows;
      const std::int64_t column = i % size.columns;
      Int128 sum = 0;
      for (std::int64_t k = 0; k < size.depth; ++k) {
        const std::int64_t a =
            problem.a().at(n + row * args.a.outer_stride + k * args.a.depth_stride);
        const std::int64_t b =
            problem.b().at(n * args.b.batch_stride + column + k * args.b.depth_stride);
        sum += Int128{a - types.a_zero_point} * (b - types.b_zero_point);
      }
      ASSERT_TRUE(problem.y().at(n * args.y_batch_stride + row * args.y_row_stride + column) ==
                  sum);
    }
  }
}

using MatmulCodesPerIsa = PerIsa;

void expect_equals_reference(Isa isa, const Size& size, const Types& types, CodeType y_type,
                             const Multiplier* multiplier, std::uint32_t seed) {
  const auto a_order = static_cast<Order>(seed % 3);
  const auto b_order = static_cast<Order>(seed / 3 % 3);
  MatmulProblem problem(size, types, y_type, a_order, b_order, seed);
  MatmulProblem expected(size, types, y_type, a_order, b_order, seed);
  for (MatmulProblem* p : {&problem, &expected}) {
    p->limit_codes(29);
    p->args().multiplier = multiplier;
  }
  run_in_parts(kernels_for(isa).matmul_codes, problem.args(), problem.rows());
  matmul_codes_ref(expected.args(), 0, expected.rows());
  ASSERT_EQ(problem.y(), expected.y()) << size << ", seed " << seed;
}

TEST_P(MatmulCodesPerIsa, EqualsReference) {
  std::uint32_t seed = 0;
  for (const Size& size : std::vector<Size>{{1, 1, 1, 1},
                                            {1, 4, 4, 32},
                                            {2, 3, 5, 31},
                                            {3, 16, 64, 33},
                                            {1, 17, 65, 64},
                                            {2, 15, 63, 7},
                                            {1, 33, 130, 100},
                                            {2, 5, 3, 700},
                                            {0, 4, 4, 4},
                                            {1, 2, 3, 0}}) {
    for (const Types& types : kTypes) {
      const Multiplier wide = {(1 << 30) + 12345, types.accumulator == CodeType::kInt32 ? 44 : 56};
      for (const CodeType y_type : {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16}) {
        expect_equals_reference(GetParam(), size, types, y_type, &wide, ++seed);
      }
      expect_equals_reference(GetParam(), size, types, CodeType::kInt64, nullptr, ++seed);
      if (types.accumulator == CodeType::kInt32) {
        expect_equals_reference(GetParam(), size, types, CodeType::kInt32, nullptr, ++seed);
      }
    }
  }
}

// The largest sums that fit, from both ends.
TEST_P(MatmulCodesPerIsa, ExtremesFit) {
  struct Case {
    Types types;
    std::int64_t a, b, depth;
  };
  for (const Case& c : std::vector<Case>{
           {{CodeType::kUInt8, CodeType::kUInt8, CodeType::kInt32, 0, 255}, 255, 0, 33025},
           {{CodeType::kUInt8, CodeType::kUInt8, CodeType::kInt64, 255, 255}, 0, 0, 70000},
           {{CodeType::kInt8, CodeType::kInt8, CodeType::kInt32, 127, 127}, -128, -128, 33025},
           {{CodeType::kInt16, CodeType::kUInt8, CodeType::kInt32, 0, 255}, -32768, 0, 257},
           {{CodeType::kInt16, CodeType::kUInt8, CodeType::kInt64, 0, 0}, -32768, 255, 9000},
           {{CodeType::kInt16, CodeType::kInt16, CodeType::kInt32, 0, 0}, -32768, -32768, 1},
           {{CodeType::kInt16, CodeType::kInt16, CodeType::kInt32, 0, 0}, -1000, 1000, 2147},
           {{CodeType::kInt16, CodeType::kInt16, CodeType::kInt64, 0, 0}, -32768, -32768, 9000},
           {{CodeType::kInt16, CodeType::kInt16, CodeType::kInt64, 32767, -32768},
            -32768,
            32767,
            9000},
           {{CodeType::kInt32, CodeType::kUInt8, CodeType::kInt64, 0, 0}, -2147483648, 255, 256},
           {{CodeType::kInt32, CodeType::kInt32, CodeType::kInt32, 0, 0}, -46340, 46340, 1},
       }) {
    MatmulProblem problem({1, 5, 5, c.depth}, c.types, CodeType::kInt64, Order::kDepthLast,
                          Order::kOuterLast, 1);
    for (std::int64_t i = 0; i < problem.a().size(); ++i) problem.a().set(i, c.a);
    for (std::int64_t i = 0; i < problem.b().size(); ++i) problem.b().set(i, c.b);
    kernels_for(GetParam()).matmul_codes(problem.args(), 0, 5);
    const std::int64_t expected =
        (c.a - c.types.a_zero_point) * (c.b - c.types.b_zero_point) * c.depth;
    for (std::int64_t row = 0; row < 5; ++row) {
      for (std::int64_t column = 0; column < 5; ++column) {
        ASSERT_EQ(problem.y().at(row * 6 + column), expected) << c.a << " " << c.b;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatmulCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels

#include "kernels/reduce_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

using Values = std::vector<std::int64_t>;

// Axes of a tensor, those that are kept and those that are not.
struct View {
  std::vector<std::int64_t> sizes;    // [kNumAxes]
  std::vector<std::int64_t> strides;  // [kNumAxes]
};

// The axes of x for which `is_chosen` holds, the last one last.
template <typename Choice>
View view_of(const Tensor& x, const std::vector<std::int64_t>& sizes, Choice is_chosen) {
  View view{Values(kNumAxes, 1), Values(kNumAxes, 0)};
  std::size_t target = kNumAxes;
  for (std::size_t axis = kNumAxes; axis-- > 0;) {
    if (!is_chosen(axis)) continue;
    --target;
    view.sizes[target] = sizes[axis];
    view.strides[target] = x.strides[axis];
  }
  return view;
}

ReduceCodesArgs make_args(Tensor& q, const Tensor& x, const View& kept, const View& reduced,
                          const Multiplier* by) {
  ReduceCodesArgs args{
      q.output(), x.input(),       {}, {},
      {},         Reduction::kSum, by, full_range(q.codes.type(), q.zero_point, Rounding::kSingle)};
  std::copy(kept.strides.begin(), kept.strides.end(), args.x.strides);
  std::copy(kept.sizes.begin(), kept.sizes.end(), args.sizes);
  std::copy(reduced.sizes.begin(), reduced.sizes.end(), args.reduced_sizes);
  std::copy(reduced.strides.begin(), reduced.strides.end(), args.x_reduced_strides);
  return args;
}

TEST(ReduceCodes, ValueTable) {
  struct Case {
    Reduction reduction;
    std::size_t axis;  // the reduced one
    Multiplier by;
    Rounding rounding;
    Values q;  // before the zero-point
  };
  const Multiplier one = {1 << 30, 30};
  const Multiplier half = {1 << 30, 31};
  const Multiplier third = {1431655765, 32};
  const std::vector<Case> cases = {
      {Reduction::kSum, 5, one, Rounding::kSingle, {0, 13}},
      {Reduction::kSum, 4, one, Rounding::kSingle, {1, 3, 9}},
      {Reduction::kSum, 3, one, Rounding::kSingle, {-1, 0, 1, 2, 3, 8}},
      // Means: of rows 0 / 3 and 13 / 3, of columns 1 / 2, 3 / 2 and 9 / 2.
      {Reduction::kSum, 5, third, Rounding::kSingle, {0, 4}},
      {Reduction::kSum, 4, half, Rounding::kSingle, {1, 2, 5}},
      {Reduction::kSum, 4, half, Rounding::kHalfEven, {0, 2, 4}},
      {Reduction::kSum, 4, half, Rounding::kDouble, {1, 2, 5}},
      {Reduction::kMaximum, 5, one, Rounding::kSingle, {1, 8}},
      {Reduction::kMaximum, 4, one, Rounding::kSingle, {2, 3, 8}},
      {Reduction::kMinimum, 5, one, Rounding::kSingle, {-1, 2}},
      {Reduction::kMinimum, 4, half, Rounding::kSingle, {0, 0, 1}},
      // A negative factor comes after the choice; 300 is clamped to what an int8 holds.
      {Reduction::kMaximum, 5, {-(1 << 30), 30}, Rounding::kSingle, {-1, -8}},
      {Reduction::kSum, 5, {25 << 26, 26}, Rounding::kSingle, {0, 117}},
  };
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 2, 3};
  const Tensor x = dense_tensor(Codes(CodeType::kUInt8, {1, 2, 3, 4, 5, 10}), sizes, 2);
  for (const Case& c : cases) {
    const View kept = view_of(x, sizes, [&](std::size_t axis) { return axis != c.axis; });
    const View reduced = view_of(x, sizes, [&](std::size_t axis) { return axis == c.axis; });
    const auto count = static_cast<std::int64_t>(c.q.size());
    Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, count), kept.sizes, /*zero_point=*/10);
    ReduceCodesArgs args = make_args(q, x, kept, reduced, &c.by);
    args.reduction = c.reduction;
    args.output.rounding = c.rounding;
    reduce_codes_ref(args, 0, num_runs(args.sizes));
    for (std::int64_t i = 0; i < count; ++i) {
      EXPECT_EQ(q.codes.at(i), c.q[static_cast<std::size_t>(i)] + 10) << "axis " << c.axis;
    }
  }
}

// The channels of an image, over its pixels.
TEST(ReduceCodes, ImagesWithChannelsLast) {
  const std::vector<std::int64_t> sizes = {1, 1, 2, 2, 2, 3};  // [images, height, width, channels]
  Values codes(24);
  std::iota(codes.begin(), codes.end(), std::int64_t{0});
  const Tensor x = dense_tensor(Codes(CodeType::kInt16, codes), sizes);
  const auto is_space = [](std::size_t axis) { return axis == 3 || axis == 4; };
  const View kept = view_of(x, sizes, [&](std::size_t axis) { return !is_space(axis); });
  const View reduced = view_of(x, sizes, is_space);
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt16, 6), kept.sizes);
  const Multiplier quarter = {1 << 30, 32};
  reduce_codes_ref(make_args(q, x, kept, reduced, &quarter), 0, 2);
  // The middles of 0, 3, 6, 9 and the others: 4.5, 5.5, 6.5 and 12 more.
  EXPECT_EQ(q.codes.values(), (Values{5, 6, 7, 17, 18, 19}));
}

TEST(ReduceCodes, WithoutMultiplierCodesStay) {
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 2, 3};
  const Tensor x = dense_tensor(Codes(CodeType::kInt8, {-128, 3, 7, 127, -5, 7}), sizes, 100);
  const View kept = view_of(x, sizes, [](std::size_t axis) { return axis == 5; });
  const View reduced = view_of(x, sizes, [](std::size_t axis) { return axis == 4; });
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, 3), kept.sizes, x.zero_point);
  ReduceCodesArgs args = make_args(q, x, kept, reduced, nullptr);
  args.reduction = Reduction::kMaximum;
  reduce_codes_ref(args, 0, 1);
  EXPECT_EQ(q.codes.values(), (Values{127, 3, 7}));
  args.reduction = Reduction::kMinimum;
  reduce_codes_ref(args, 0, 1);
  EXPECT_EQ(q.codes.values(), (Values{-128, -5, 7}));
  // The sums, as codes of an int32 without zero-point.
  Tensor sums = dense_tensor(Codes::zeros(CodeType::kInt32, 3), kept.sizes);
  reduce_codes_ref(make_args(sums, x, kept, reduced, nullptr), 0, 1);
  EXPECT_EQ(sums.codes.values(), (Values{-201, -202, -186}));
}

using ReduceCodesPerIsa = PerIsa;

// Sizes around the runs along two axes, of which each may be kept or reduced.
std::vector<std::int64_t> two_long_axes(std::mt19937& random) {
  std::vector<std::int64_t> sizes = random_sizes(random);
  if (random() % 2 == 0) {
    sizes[4] = std::vector<std::int64_t>{7, 16, 33, 49, 65}[random() % 5];
    sizes[2] = sizes[1] = sizes[0] = 1;
  }
  return sizes;
}

TEST_P(ReduceCodesPerIsa, EqualsReference) {
  std::mt19937 random(61);
  for (int i = 0; i < 400; ++i) {
    std::vector<std::int64_t> sizes = two_long_axes(random);
    const auto reduced_axes = static_cast<std::uint32_t>(random());
    const auto is_reduced = [&](std::size_t axis) { return (reduced_axes >> axis) % 2 == 1; };
    if (is_reduced(5)) sizes[5] = std::max<std::int64_t>(sizes[5], 1);
    const Tensor x = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/false, random);
    const View kept = view_of(x, sizes, [&](std::size_t axis) { return !is_reduced(axis); });
    const View reduced = view_of(x, sizes, is_reduced);
    Tensor q = random_tensor(kAllTypes[random() % 5], kept.sizes, /*is_output=*/true, random);
    Tensor expected = q;
    Multiplier by = random_multiplier(random);
    by.shift = std::max(by.shift, 16);
    ReduceCodesArgs args = make_args(expected, x, kept, reduced, random() % 4 == 0 ? nullptr : &by);
    args.reduction = static_cast<Reduction>(random() % 3);
    args.output.rounding = kRoundings[random() % 3];
    reduce_codes_ref(args, 0, num_runs(args.sizes));
    args.q = q.output();
    run_in_parts(kernels_for(GetParam()).reduce_codes, args, num_runs(args.sizes));
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

// One code read again and again, up to and just beyond what 32 bits hold, as one row and as
// columns.
TEST_P(ReduceCodesPerIsa, ExtremesFit) {
  struct Case {
    CodeType type;
    std::int64_t code;
    std::int32_t zero_point;
    std::int64_t count;
  };
  constexpr std::int64_t k8 = std::int64_t{1} << 23;
  constexpr std::int64_t k16 = std::int64_t{1} << 15;
  for (const Case& c : std::vector<Case>{
           {CodeType::kUInt8, 255, 0, k8},
           {CodeType::kUInt8, 255, 0, k8 + 1},
           {CodeType::kUInt8, 0, 255, k8 + 1},
           {CodeType::kInt8, -128, 127, k8},
           {CodeType::kInt8, 127, -128, k8 + 1},
           {CodeType::kInt16, 32767, -32768, k16},
           {CodeType::kInt16, -32768, 32767, k16 + 1},
           {CodeType::kInt16, -32768, 32767, k8},
           {CodeType::kInt32, -2147483648, 0, k16},
           {CodeType::kInt64, (std::int64_t{1} << 40) - 1, 0, 128},
       }) {
    for (const std::int64_t n : {1, 3}) {
      const View kept = {{1, 1, 1, 1, 1, n}, Values(kNumAxes, 0)};
      const View reduced = {{1, 1, 1, 1, 1, c.count}, Values(kNumAxes, 0)};
      const Tensor x = {Codes(c.type, {c.code}), c.zero_point, kept.strides};
      Tensor q = dense_tensor(Codes::zeros(CodeType::kInt32, n), kept.sizes);
      const Multiplier by = {1 << 30, 47};
      kernels_for(GetParam()).reduce_codes(make_args(q, x, kept, reduced, &by), 0, 1);
      const std::int64_t sum = c.count * (c.code - c.zero_point);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(q.codes.at(i), ((sum >> 16) + 1) >> 1) << c.code << " " << c.count << " " << n;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ReduceCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels

#include "kernels/softmax_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr std::int32_t kByteM = 255 * 256;     // scale 1/255
constexpr std::int32_t kShortM = 32767 * 256;  // scale 1/32767
constexpr std::int32_t kLargestM = (1 << 24) - 1;

// One row, or more, of n codes each; everything else as most tests want it.
SoftmaxArgs arguments(Codes& p, const Codes& q, std::int64_t n) {
  return {.p = p.data(),
          .q = q.data(),
          .table = nullptr,
          .wide_table = nullptr,
          .p_type = p.type(),
          .q_type = q.type(),
          .table_size = 0,
          .n = n,
          .p_stride = n,
          .q_stride = n,
          .is_log2 = false,
          .m = p.type() == CodeType::kInt16 ? kShortM : kByteM,
          .codes = full_range(p.type(), 0, Rounding::kSingle)};
}

void set_table(SoftmaxArgs& args, const std::vector<std::uint32_t>& table) {
  args.table = table.data();
  args.table_size = static_cast<std::int64_t>(table.size());
}

void set_table(SoftmaxArgs& args, const std::vector<std::uint64_t>& table) {
  args.wide_table = table.data();
  args.table_size = static_cast<std::int64_t>(table.size());
}

std::vector<std::uint32_t> rounded_exponentials(double scale, std::int64_t size) {
  std::vector<std::uint32_t> table;
  for (std::int64_t d = 0; d < size; ++d) {
    const double value = std::nearbyint(65536 * std::exp(-scale * static_cast<double>(d)));
    table.push_back(static_cast<std::uint32_t>(value));
  }
  return table;
}

std::vector<std::int64_t> softmax_of(const std::vector<std::int64_t>& logits,
                                     const std::vector<std::uint32_t>& table, bool is_log2) {
  const Codes q(CodeType::kInt16, logits);
  Codes p = Codes::zeros(CodeType::kUInt8, q.size());
  SoftmaxArgs args = arguments(p, q, q.size());
  set_table(args, table);
  args.is_log2 = is_log2;
  if (is_log2) args.codes.highest = 15;
  softmax_codes_ref(args, 0, 1);
  return p.values();
}

using Values = std::vector<std::int64_t>;

TEST(SoftmaxCodes, QuotientsByHand) {
  EXPECT_EQ(softmax_of({10, 9, 8, 7}, {4, 2, 1, 0}, false), (Values{146, 73, 36, 0}));
  EXPECT_EQ(softmax_of({7, 7}, {65536}, false), (Values{128, 128}));  // a half goes up
  EXPECT_EQ(softmax_of({-300}, {65536, 1}, false), (Values{255}));
  EXPECT_EQ(softmax_of({0, -5, -900}, {8, 4}, false), (Values{128, 64, 64}));  // the last entry
}

// E / S = 1, 2/3, 1/2, 2/5, 1/3: the ratio S / E is rounded before its logarithm is.
TEST(SoftmaxCodes, Log2CodesByHand) {
  const std::vector<std::uint32_t> table = {2, 1, 0};
  EXPECT_EQ(softmax_of({0}, table, true), (Values{0}));
  EXPECT_EQ(softmax_of({1, 0}, table, true), (Values{1, 2}));              // ratios 1.5, 3
  EXPECT_EQ(softmax_of({1, 0, 0}, table, true), (Values{1, 2, 2}));        // 2, 4
  EXPECT_EQ(softmax_of({1, 0, 0, 0}, table, true), (Values{2, 2, 2, 2}));  // 2.5, 5
  EXPECT_EQ(softmax_of({1, 0, 0, 0, 0}, table, true), (Values{2, 3, 3, 3, 3}));
  EXPECT_EQ(softmax_of({2, 0}, table, true), (Values{0, 15}));            // E = 0
  EXPECT_EQ(softmax_of({2, 0}, {1 << 20, 0, 1}, true), (Values{0, 15}));  // 2^20, clamped
}

// Every code is the nearest to the quotient, and a tie goes up.
TEST(SoftmaxCodes, IsRoundedOnce) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t n = 1 + static_cast<std::int64_t>(random() % 40);
    const auto size = static_cast<std::size_t>(n);
    std::vector<std::uint64_t> table(size);
    for (std::uint64_t& entry : table) entry = 1 + (random() >> (20 + random() % 43));
    std::vector<std::int64_t> logits(size);
    for (std::size_t d = 0; d < size; ++d) logits[d] = -static_cast<std::int64_t>(d);
    const Codes q(CodeType::kInt8, logits);
    Codes p = Codes::zeros(CodeType::kInt16, n);
    SoftmaxArgs args = arguments(p, q, n);
    set_table(args, table);
    args.m = kByteM;
    softmax_codes_ref(args, 0, 1);
    Int128 sum = 0;
    for (const std::uint64_t entry : table) sum += entry;
    for (std::int64_t k = 0; k < n; ++k) {
      const Int128 twice = Int128{2} * 255 * table[static_cast<std::size_t>(k)];
      EXPECT_LE((2 * p.at(k) - 1) * sum, twice);
      EXPECT_GT((2 * p.at(k) + 1) * sum, twice);
    }
  }
}

TEST(SoftmaxCodes, TableFormIsTheRoundedSoftmax) {
  std::mt19937 random(3);
  for (const double scale : {0.01, 0.05, 0.2}) {
    for (const std::int64_t n : {1, 16, 64, 256}) {
      const Codes q = Codes::random(CodeType::kUInt8, n, static_cast<std::uint32_t>(random()));
      Codes p = Codes::zeros(CodeType::kInt16, n);
      SoftmaxArgs args = arguments(p, q, n);
      const std::vector<std::uint32_t> table = rounded_exponentials(scale, 256);
      set_table(args, table);
      softmax_codes_ref(args, 0, 1);
      double sum = 0;
      for (const std::int64_t code : q.values()) {
        sum += std::exp(scale * static_cast<double>(code));
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const double exact = 32767 * std::exp(scale * static_cast<double>(q.at(i))) / sum;
        // Each of n + 1 exponentials is wrong by at most 2^-17 of the largest.
        const double limit = 0.5 + 32767 * 0x1p-17 * static_cast<double>(n + 1);
        EXPECT_NEAR(static_cast<double>(p.at(i)), exact, limit);
      }
    }
  }
}

TEST(SoftmaxExponential, ByHand) {
  const SoftmaxFormula linear = {SoftmaxForm::kLinear, /*octaves=*/15, /*x0=*/7, /*b=*/13, 0};
  EXPECT_EQ(softmax_exponential(linear, 0), 13U << 15);
  EXPECT_EQ(softmax_exponential(linear, 6), 7U << 15);
  EXPECT_EQ(softmax_exponential(linear, 7), 13U << 14);
  EXPECT_EQ(softmax_exponential(linear, 15 * 7 - 1), 7U << 1);
  EXPECT_EQ(softmax_exponential(linear, 15 * 7), 13U);
  EXPECT_EQ(softmax_exponential(linear, 65535), 13U);
  const SoftmaxFormula polynomial = {SoftmaxForm::kPolynomial, 15, 7, 27, 279};
  EXPECT_EQ(softmax_exponential(polynomial, 0), 279U << 15);
  EXPECT_EQ(softmax_exponential(polynomial, 2), (279U - 2 * 25) << 15);
  EXPECT_EQ(softmax_exponential(polynomial, 9), (279U - 2 * 25) << 14);
  // Shifts of negative numbers round down: y = -5 + (-5 >> 1) - (-5 >> 4) = -5 - 3 + 1.
  const SoftmaxFormula shift = {SoftmaxForm::kShift, 15, 10, 0, 0};
  EXPECT_EQ(softmax_exponential(shift, 0), 10U << 15);
  EXPECT_EQ(softmax_exponential(shift, 5), 6U << 15);  // -7 >> 1 = -4
  EXPECT_EQ(softmax_exponential(shift, 65535), 10U);
}

TEST(SoftmaxExponential, ApproximatesTheExponential) {
  struct Case {
    SoftmaxForm form;
    double tolerance;  // the published forms' own, and 1 % an octave where x0 is rounded
  };
  for (const double scale : {0.001, 0.01}) {
    const auto steps = [&](double value) {
      return static_cast<std::int64_t>(std::floor(value / scale));
    };
    for (const Case& c : {Case{SoftmaxForm::kLinear, 0.1}, Case{SoftmaxForm::kPolynomial, 0.03},
                          Case{SoftmaxForm::kShift, 0.1}}) {
      const bool is_shift = c.form == SoftmaxForm::kShift;
      const SoftmaxFormula formula = {
          c.form, 15, steps(is_shift ? 1.0 : std::log(2.0)) + 1,
          steps(c.form == SoftmaxForm::kLinear ? 1.3547 : 0.96963238 / 0.35815147),
          static_cast<std::int64_t>(1 / 0.35815147 / scale / scale)};
      std::vector<std::uint64_t> table(static_cast<std::size_t>(steps(2.0)));
      prepare_softmax_table(table.data(), static_cast<std::int64_t>(table.size()), formula);
      for (std::size_t d = 0; d < table.size(); ++d) {
        const double got = static_cast<double>(table[d]) / static_cast<double>(table[0]);
        const double exact = std::exp(-scale * static_cast<double>(d));
        EXPECT_NEAR(got / exact, 1.0, c.tolerance) << d;
      }
    }
  }
}

using SoftmaxPerIsa = PerIsa;

void expect_equals_reference(const KernelTable& kernels, SoftmaxArgs args, Codes& p,
                             std::int64_t rows) {
  Codes expected = Codes::zeros(p.type(), p.size());
  args.p = expected.data();
  softmax_codes_ref(args, 0, rows);
  args.p = p.data();
  run_in_parts(kernels.softmax_codes, args, rows);
  ASSERT_EQ(p, expected) << args.n << " codes, m " << args.m << ", log2 " << args.is_log2;
}

// Distances up to 255, or 65535 with 16 bits: entries small, of 16 bits, or as large as S allows.
template <typename Entry>
std::vector<Entry> random_table(std::int64_t size, std::uint64_t largest, std::uint32_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Entry> table(static_cast<std::size_t>(size));
  for (Entry& entry : table) {
    const std::uint64_t kind = random() % 4;
    const std::uint64_t any = random() % (largest + 1);
    entry = static_cast<Entry>(kind == 0 ? 0 : kind == 1 ? largest : any >> (random() % 24));
  }
  table[0] = static_cast<Entry>(largest);
  return table;
}

TEST_P(SoftmaxPerIsa, EqualsReference) {
  const KernelTable& kernels = kernels_for(GetParam());
  const std::int64_t rows = 4;
  std::uint32_t seed = 0;
  for (const CodeType q_type : kNarrowTypes) {
    for (const CodeType p_type : kNarrowTypes) {
      for (const std::int64_t n : {1, 2, 7, 8, 9, 15, 17, 49, 255, 257, 1023, 1024, 1025, 2100}) {
        const std::int64_t q_stride = n + 3;
        const std::int64_t p_stride = n + 5;
        const Codes q = Codes::random(q_type, rows * q_stride, ++seed);
        Codes p = Codes::zeros(p_type, rows * p_stride);
        const std::int64_t entries = std::vector<std::int64_t>{1, 2, 200, 1000}[seed % 4];
        const std::uint64_t narrow_largest = 0xFFFFFFFFU / static_cast<std::uint64_t>(n);
        const auto narrow =
            random_table<std::uint32_t>(entries, seed % 3 == 0 ? narrow_largest : 65536U, seed);
        const std::uint64_t wide_largest =
            ((std::uint64_t{1} << 53) - 1) / static_cast<std::uint64_t>(n);
        SoftmaxArgs args = arguments(p, q, n);
        args.p_stride = p_stride;
        args.q_stride = q_stride;
        args.codes.zero_point = seed % 2 == 0 ? 0 : -3;
        for (const std::int32_t m : {1, 256, kByteM, kShortM, kLargestM}) {
          args.m = m;
          set_table(args, narrow);
          expect_equals_reference(kernels, args, p, rows);
          const std::uint64_t most = ((std::uint64_t{1} << 61) - 1) / static_cast<std::uint64_t>(m);
          const auto wide =
              random_table<std::uint64_t>(entries, std::min(wide_largest, most), seed);
          args.table = nullptr;
          set_table(args, wide);
          expect_equals_reference(kernels, args, p, rows);
        }
        args.is_log2 = true;
        args.codes.zero_point = 0;
        for (const std::int32_t highest : {1, 15, 62}) {
          args.codes.highest = highest;
          const auto wide = random_table<std::uint64_t>(entries, wide_largest, seed);
          args.table = nullptr;
          set_table(args, wide);
          expect_equals_reference(kernels, args, p, rows);
          set_table(args, narrow);
          expect_equals_reference(kernels, args, p, rows);
        }
      }
    }
  }
}

// Expects the rows {e, sum - e, 0, 0, ...} to be what the reference makes of them. They are long
// enough for whole registers.
class Pairs {
 public:
  Pairs(const KernelTable& kernels, std::int32_t m)
      : kernels_(kernels),
        q_(Codes::zeros(CodeType::kInt8, kSize)),
        p_(Codes::zeros(CodeType::kInt16, kSize)),
        want_(p_) {
    q_.set(0, 2);
    q_.set(1, 1);
    args_ = arguments(p_, q_, kSize);
    args_.m = m;
  }

  template <typename Entry>
  void check(Entry e, Entry sum) {
    if (e > sum) return;
    const std::vector<Entry> table = {e, static_cast<Entry>(sum - e), 0};
    args_.table = nullptr;
    set_table(args_, table);
    args_.p = want_.data();
    softmax_codes_ref(args_, 0, 1);
    args_.p = p_.data();
    kernels_.softmax_codes(args_, 0, 1);
    ASSERT_EQ(p_, want_) << e << " of " << sum << ", m " << args_.m;
  }

 private:
  static constexpr std::int64_t kSize = 17;

  const KernelTable& kernels_;
  Codes q_;
  Codes p_;
  Codes want_;
  SoftmaxArgs args_;
};

TEST_P(SoftmaxPerIsa, AllQuotientsOfSmallSums) {
  Pairs pairs(kernels_for(GetParam()), kByteM);
  for (std::uint32_t sum = 1; sum <= 520; ++sum) {
    for (std::uint32_t e = 0; e <= sum; ++e) pairs.check(e, sum);
  }
}

// The exponentials on both sides of each output code's threshold, E m = 2^7 S (2 k + 1).
template <typename Entry>
void check_thresholds(Pairs& pairs, std::int32_t m, std::uint64_t sum, std::int32_t step) {
  for (std::int32_t k = 0; k <= m / 256; k += step) {
    const Int128 threshold = Int128{128} * (2 * k + 1) * static_cast<Int128>(sum) / m;
    for (int offset = -1; offset <= 2; ++offset) {
      const Int128 e = threshold + offset;
      if (e >= 0) pairs.check(static_cast<Entry>(e), static_cast<Entry>(sum));
    }
  }
}

TEST_P(SoftmaxPerIsa, ThresholdsOfAllCodes) {
  std::mt19937_64 random(5);
  std::vector<std::uint64_t> sums;
  for (int bits = 1; bits <= 53; ++bits) {
    const std::uint64_t power = std::uint64_t{1} << bits;
    for (const std::uint64_t sum : {power - 1, power, power + 1, power | (random() % power)}) {
      if (sum < std::uint64_t{1} << 53) sums.push_back(sum);
    }
  }
  for (const std::int32_t m : {kByteM, 217600, kShortM, kLargestM}) {
    Pairs pairs(kernels_for(GetParam()), m);
    for (const std::uint64_t sum : sums) {
      const std::int32_t step = m == kByteM ? 1 : 97;
      if (sum < std::uint64_t{1} << 32) check_thresholds<std::uint32_t>(pairs, m, sum, step);
      if (static_cast<Int128>(sum) * m < Int128{1} << 61) {
        check_thresholds<std::uint64_t>(pairs, m, sum, 11 * step);
      }
    }
  }
}

TEST_P(SoftmaxPerIsa, WorksInPlace) {
  Codes q = Codes::random(CodeType::kUInt8, 3 * 1500, /*seed=*/2);
  const std::vector<std::uint32_t> table = rounded_exponentials(0.03, 256);
  Codes expected = Codes::zeros(q.type(), q.size());
  SoftmaxArgs args = arguments(expected, q, 1500);
  set_table(args, table);
  softmax_codes_ref(args, 0, 3);
  args.p = q.data();
  kernels_for(GetParam()).softmax_codes(args, 0, 3);
  EXPECT_EQ(q, expected);
}

INSTANTIATE_TEST_SUITE_P(Isas, SoftmaxPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels

#include "kernels/map_codes.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr std::int64_t entries_of(CodeType type) { return type == CodeType::kInt16 ? 65536 : 256; }

TEST(MapCodes, EntriesAreInTheOrderOfTheCodes) {
  for (const CodeType type : kNarrowTypes) {
    const Limits limits = limits_of(type);
    std::vector<std::int64_t> entries(static_cast<std::size_t>(entries_of(type)));
    std::iota(entries.begin(), entries.end(), limits.lowest);
    const Codes identity(type, entries);
    const Codes x(type, {limits.lowest, limits.highest, 0, 1, limits.highest - 1});
    Codes q = Codes::zeros(type, x.size());
    map_codes_ref({q.data(), x.data(), identity.data(), type, type, x.size(), 1}, 0, 1);
    EXPECT_EQ(q, x);
  }
}

TEST(MapCodes, ChannelsHaveTheirOwnTables) {
  std::vector<std::int64_t> entries;
  for (std::int64_t c = 1; c <= 3; ++c) {
    for (std::int64_t code = 0; code < 256; ++code) entries.push_back(c * code);
  }
  const Codes table(CodeType::kInt16, entries);
  const Codes x(CodeType::kUInt8, {1, 1, 1, 200, 200, 200, 255});
  Codes q = Codes::zeros(CodeType::kInt16, x.size());
  map_codes_ref({q.data(), x.data(), table.data(), q.type(), x.type(), x.size(), 3}, 0, 1);
  EXPECT_EQ(q.values(), (std::vector<std::int64_t>{1, 2, 3, 200, 400, 600, 255}));
}

using MapCodesPerIsa = PerIsa;

TEST_P(MapCodesPerIsa, EqualsReference) {
  const KernelTable& kernels = kernels_for(GetParam());
  for (const CodeType x_type : kNarrowTypes) {
    for (const CodeType q_type : kNarrowTypes) {
      for (const std::int64_t channels : {1, 3, 16}) {
        const Codes table = Codes::random(q_type, channels * entries_of(x_type), /*seed=*/1);
        for (const std::int64_t size : kRunSizes) {
          const Codes x = Codes::random(x_type, size, /*seed=*/2);
          Codes q = Codes::zeros(q_type, size);
          Codes expected = Codes::zeros(q_type, size);
          MapCodesArgs args{expected.data(), x.data(), table.data(), q_type,
                            x_type,          size,     channels};
          map_codes_ref(args, 0, runs_per_row(size));
          args.q = q.data();
          run_in_parts(kernels.map_codes, args, runs_per_row(size));
          ASSERT_EQ(q, expected) << size << " elements, " << channels << " channels";
        }
      }
    }
  }
}

TEST_P(MapCodesPerIsa, WorksInPlace) {
  Codes x = Codes::random(CodeType::kUInt8, 1100, /*seed=*/3);
  const Codes table = Codes::random(CodeType::kUInt8, 256, /*seed=*/4);
  Codes expected = Codes::zeros(x.type(), x.size());
  MapCodesArgs args{expected.data(), x.data(), table.data(), x.type(), x.type(), x.size(), 1};
  map_codes_ref(args, 0, runs_per_row(x.size()));
  args.q = x.data();
  kernels_for(GetParam()).map_codes(args, 0, runs_per_row(x.size()));
  EXPECT_EQ(x, expected);
}

INSTANTIATE_TEST_SUITE_P(Isas, MapCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels

#include "kernels/move_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

MoveCodesArgs make_args(Tensor& q, const Tensor& x, const std::vector<std::int64_t>& sizes) {
  MoveCodesArgs args{q.codes.data(), x.codes.data(), q.codes.type(), {}, {}, {}};
  std::copy(sizes.begin(), sizes.end(), args.sizes);
  std::copy(q.strides.begin(), q.strides.end(), args.q_strides);
  std::copy(x.strides.begin(), x.strides.end(), args.x_strides);
  return args;
}

// What move_codes means, without tiles.
void move_each(Tensor& q, const Tensor& x, const std::vector<std::int64_t>& sizes) {
  for_each_position(sizes.data(), 0, num_runs(sizes.data()), [&](const std::int64_t* position) {
    q.codes.set(offset_at(position, q.strides.data()),
                x.codes.at(offset_at(position, x.strides.data())));
  });
}

TEST(MoveCodes, Transposes) {
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 3, 2};
  const Tensor x{Codes(CodeType::kInt8, {1, 2, 3, 4, 5, 6}), 0, {0, 0, 0, 0, 1, 3}};
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, 6), sizes);
  move_codes_ref(make_args(q, x, sizes), 0, 1);
  EXPECT_EQ(q.codes.values(), (std::vector<std::int64_t>{1, 4, 2, 5, 3, 6}));
}

TEST(MoveCodes, NothingToMoveIsNoTile) {
  const std::vector<std::int64_t> no_columns = {1, 1, 1, 1, 3, 0};
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, 0), no_columns);
  EXPECT_EQ(num_tiles(make_args(q, q, no_columns)), 0);
  EXPECT_EQ(num_tiles(make_args(q, q, {1, 0, 1, 1, 3, 5})), 0);
}

using MoveCodesPerIsa = PerIsa;

TEST_P(MoveCodesPerIsa, EqualsReference) {
  std::mt19937 random(51);
  for (int i = 0; i < 600; ++i) {
    std::vector<std::int64_t> sizes = random_sizes(random);
    if (random() % 2 == 0) sizes[kNumAxes - 2] = kRunSizes[1 + random() % 10];  // around a tile
    const CodeType type = kAllTypes[random() % 5];
    const Tensor x = random_tensor(type, sizes, /*is_output=*/false, random);
    Tensor q = random_tensor(type, sizes, /*is_output=*/true, random);
    Tensor from_reference = q;
    Tensor expected = q;
    move_each(expected, x, sizes);
    MoveCodesArgs args = make_args(from_reference, x, sizes);
    move_codes_ref(args, 0, num_tiles(args));
    args.q = q.codes.data();
    run_in_parts(kernels_for(GetParam()).move_codes, args, num_tiles(args));
    ASSERT_EQ(from_reference.codes, expected.codes) << "case " << i;
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

TEST_P(MoveCodesPerIsa, TransposesEqualReference) {
  for (const CodeType type : kAllTypes) {
    for (const std::int64_t rows : {1, 2, 31, 32, 33, 70}) {
      for (const std::int64_t columns : {1, 3, 31, 32, 33, 511, 513, 600}) {
        const std::vector<std::int64_t> sizes = {1, 1, 1, 2, rows, columns};
        const std::int64_t image = rows * columns;
        const Tensor x{Codes::random(type, 2 * image, /*seed=*/1), 0, {0, 0, 0, image, 1, rows}};
        Tensor q = dense_tensor(Codes::zeros(type, 2 * image), sizes);
        Tensor expected = q;
        move_each(expected, x, sizes);
        const MoveCodesArgs args = make_args(q, x, sizes);
        run_in_parts(kernels_for(GetParam()).move_codes, args, num_tiles(args));
        ASSERT_EQ(q.codes, expected.codes) << rows << " x " << columns;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MoveCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels

// Views against lists of where every element lies.
#include "runtime/view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace hybridquant::runtime {
namespace {

using Places = std::vector<std::int64_t>;

// Coordinates of the element at a row-major index.
Shape position(const Shape& sizes, std::int64_t index) {
  Shape result(sizes.size());
  for (std::size_t axis = sizes.size(); axis-- > 0;) {
    result[axis] = index % sizes[axis];
    index /= sizes[axis];
  }
  return result;
}

std::int64_t index_of(const Shape& sizes, const Shape& position) {
  std::int64_t index = 0;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    index = index * sizes[axis] + position[axis];
  }
  return index;
}

// Where the elements lie in the buffer, in row-major order.
Places places(const View& view) {
  Places result;
  for (std::int64_t i = 0; i < num_elements(view.sizes); ++i) {
    const Shape at = position(view.sizes, i);
    result.push_back(std::inner_product(at.begin(), at.end(), view.strides.begin(), view.offset));
  }
  return result;
}

// Elements of `from` [sizes] at the positions that `source` gives for those of `to`.
template <typename Source>
Places picked(const Shape& to, const Shape& from, const Places& values, const Source& source) {
  Places result;
  for (std::int64_t i = 0; i < num_elements(to); ++i) {
    result.push_back(values[static_cast<std::size_t>(index_of(from, source(position(to, i))))]);
  }
  return result;
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : generator_(seed) {}

  std::int64_t from(std::int64_t lowest, std::int64_t highest) {
    return std::uniform_int_distribution<std::int64_t>(lowest, highest)(generator_);
  }

  Shape shape() {
    Shape sizes(static_cast<std::size_t>(from(1, 5)));
    for (std::int64_t& size : sizes) size = from(1, 4);
    return sizes;
  }

  std::vector<std::int64_t> order(std::size_t count) {
    std::vector<std::int64_t> axes(count);
    std::iota(axes.begin(), axes.end(), 0);
    std::shuffle(axes.begin(), axes.end(), generator_);
    return axes;
  }

  // Other sizes with the same number of elements.
  Shape refactored(std::int64_t elements) {
    Shape sizes;
    for (std::int64_t prime : {2, 3, 2, 3, 2, 3, 2, 3, 2, 2, 2, 2}) {
      while (elements % prime == 0) {
        elements /= prime;
        if (sizes.empty() || from(0, 1) == 0) {
          sizes.push_back(prime);
        } else {
          sizes[static_cast<std::size_t>(from(0, static_cast<std::int64_t>(sizes.size()) - 1))] *=
              prime;
        }
      }
    }
    sizes.insert(sizes.begin() + from(0, static_cast<std::int64_t>(sizes.size())), 1);
    return sizes;
  }

  // A view of a buffer after a few operations.
  View view() {
    View result = from(0, 1) == 0 ? row_major(shape()) : channels_last(shape());
    for (std::int64_t i = from(0, 3); i > 0; --i) {
      if (from(0, 1) == 0) {
        result = permuted(result, order(result.rank()));
      } else {
        result = any_slice(result);
      }
    }
    return result;
  }

  View any_slice(const View& view) {
    const auto axis = static_cast<std::size_t>(from(0, static_cast<std::int64_t>(view.rank()) - 1));
    const std::int64_t start = from(0, view.sizes[axis] - 1);
    const std::int64_t step = from(1, 3);
    const std::int64_t most = (view.sizes[axis] - start + step - 1) / step;
    return sliced(view, axis, start, step, from(1, most));
  }

 private:
  std::mt19937 generator_;
};

constexpr std::uint32_t kCases = 500;

// 0, 1, 2, ... in some order.
bool is_one_stretch(Places found) {
  std::sort(found.begin(), found.end());
  Places wanted(found.size());
  std::iota(wanted.begin(), wanted.end(), found.front());
  return found == wanted;
}

TEST(View, NewViewsFillABuffer) {
  EXPECT_EQ(row_major({2, 3, 4}).strides, Shape({12, 4, 1}));
  EXPECT_EQ(channels_last({2, 3, 4, 5}).strides, Shape({60, 1, 15, 3}));
  EXPECT_EQ(channels_last({2, 3}).strides, Shape({3, 1}));
  EXPECT_EQ(channels_last({2}).strides, Shape({1}));
  for (std::uint32_t seed = 0; seed < kCases; ++seed) {
    const Shape sizes = Random(seed).shape();
    for (const View& view : {row_major(sizes), channels_last(sizes)}) {
      Places found = places(view);
      EXPECT_EQ(found.front(), 0);
      EXPECT_TRUE(is_one_stretch(found));
      EXPECT_TRUE(is_dense(view));
    }
    EXPECT_TRUE(is_row_major(row_major(sizes)));
  }
}

TEST(View, PermutesAndSlices) {
  for (std::uint32_t seed = 0; seed < kCases; ++seed) {
    Random random(seed);
    const View view = random.view();
    const auto axes = random.order(view.rank());
    const View turned = permuted(view, axes);
    EXPECT_EQ(places(turned), picked(turned.sizes, view.sizes, places(view), [&](const Shape& at) {
                Shape from(at.size());
                for (std::size_t i = 0; i < at.size(); ++i) {
                  from[static_cast<std::size_t>(axes[i])] = at[i];
                }
                return from;
              }));
    const auto axis = static_cast<std::size_t>(axes[0]);
    const std::int64_t start = random.from(0, view.sizes[axis] - 1);
    const std::int64_t step = random.from(1, 3);
    const std::int64_t count = (view.sizes[axis] - start + step - 1) / step;
    const View part = sliced(view, axis, start, step, count);
    EXPECT_EQ(places(part), picked(part.sizes, view.sizes, places(view), [&](Shape at) {
                at[axis] = start + at[axis] * step;
                return at;
              }));
  }
}

TEST(View, Expands) {
  for (std::uint32_t seed = 0; seed < kCases; ++seed) {
    Random random(seed);
    View view = random.view();
    Shape sizes = view.sizes;
    for (std::int64_t& size : sizes) {
      if (size == 1) size = random.from(1, 3);
    }
    const std::size_t added = sizes.size() < 6 ? 1 : 0;
    if (added == 1) sizes.insert(sizes.begin(), random.from(1, 3));
    const View repeated = expanded(view, sizes);
    EXPECT_EQ(repeated.sizes, sizes);
    EXPECT_EQ(places(repeated), picked(sizes, view.sizes, places(view), [&](const Shape& at) {
                Shape from(at.begin() + static_cast<std::ptrdiff_t>(added), at.end());
                for (std::size_t i = 0; i < from.size(); ++i) {
                  if (view.sizes[i] == 1) from[i] = 0;
                }
                return from;
              }));
  }
}

// Whether strides exist that give these places.
bool is_a_view(const Shape& sizes, const Places& wanted) {
  View view{sizes, Shape(sizes.size()), wanted.front()};
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    if (sizes[axis] == 1) continue;
    Shape one(sizes.size(), 0);
    one[axis] = 1;
    view.strides[axis] = wanted[static_cast<std::size_t>(index_of(sizes, one))] - wanted.front();
  }
  return places(view) == wanted;
}

TEST(View, ReshapesWhereverThatIsAView) {
  int views = 0;
  int others = 0;
  for (std::uint32_t seed = 0; seed < 4 * kCases; ++seed) {
    Random random(seed);
    View view = random.view();
    if (seed % 3 == 0) {
      Shape sizes = view.sizes;
      sizes.insert(sizes.begin(), random.from(1, 3));
      view = expanded(view, sizes);
    }
    const Shape sizes = random.refactored(num_elements(view.sizes));
    const std::optional<View> found = reshaped(view, sizes);
    EXPECT_EQ(found.has_value(), is_a_view(sizes, places(view))) << seed;
    if (found) {
      EXPECT_EQ(found->sizes, sizes);
      EXPECT_EQ(places(*found), places(view)) << seed;
    }
    ++(found ? views : others);
  }
  EXPECT_GT(views, 100);
  EXPECT_GT(others, 100);
}

TEST(View, KnowsWhatIsDense) {
  int dense = 0;
  for (std::uint32_t seed = 0; seed < 4 * kCases; ++seed) {
    Random random(seed);
    const View view = random.view();
    const Places found = places(view);
    EXPECT_EQ(is_dense(view), is_one_stretch(found)) << seed;
    Places row_by_row(found.size());
    std::iota(row_by_row.begin(), row_by_row.end(), found.front());
    EXPECT_EQ(is_row_major(view), found == row_by_row) << seed;
    dense += is_dense(view) ? 1 : 0;
  }
  EXPECT_GT(dense, 100);
}

TEST(View, LikeNestsAxesAsTheOther) {
  for (std::uint32_t seed = 0; seed < kCases; ++seed) {
    const View view = Random(seed).view();
    const View copy = like(view);
    EXPECT_EQ(copy.sizes, view.sizes);
    EXPECT_EQ(copy.offset, 0);
    EXPECT_TRUE(is_dense(copy));
    if (!is_dense(view)) {
      EXPECT_TRUE(is_row_major(copy));
      continue;
    }
    // Element by element along the buffer: a kernel may run over both at once.
    Places shifted = places(view);
    for (std::int64_t& place : shifted) place -= view.offset;
    EXPECT_EQ(places(copy), shifted) << seed;
  }
}

TEST(View, PadsAxesForKernels) {
  const View view = permuted(row_major({2, 3}), {1, 0});
  EXPECT_EQ(padded_sizes(view.sizes), (Axes{1, 1, 1, 1, 3, 2}));
  EXPECT_EQ(padded_strides(view), (Axes{0, 0, 0, 0, 1, 3}));
}

}  // namespace
}  // namespace hybridquant::runtime

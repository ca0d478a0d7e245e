#include "runtime/view.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace hybridquant::runtime {

namespace {

// A view whose axes are nested in this order, the outermost first.
View nested(const Shape& sizes, const std::vector<std::size_t>& order) {
  View view{sizes, Shape(sizes.size()), 0};
  std::int64_t stride = 1;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    view.strides[*axis] = stride;
    stride *= sizes[*axis];
  }
  return view;
}

std::vector<std::size_t> all_axes(const Shape& sizes) {
  std::vector<std::size_t> axes(sizes.size());
  std::iota(axes.begin(), axes.end(), std::size_t{0});
  return axes;
}

// Axes from the largest stride to the smallest.
std::vector<std::size_t> nesting(const View& view) {
  std::vector<std::size_t> axes = all_axes(view.sizes);
  std::stable_sort(axes.begin(), axes.end(),
                   [&](std::size_t a, std::size_t b) { return view.strides[a] > view.strides[b]; });
  return axes;
}

bool is_filled(const View& view, const std::vector<std::size_t>& order) {
  std::int64_t stride = 1;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    if (view.sizes[*axis] == 1) continue;
    if (view.strides[*axis] != stride) return false;
    stride *= view.sizes[*axis];
  }
  return true;
}

}  // namespace

View row_major(const Shape& sizes) { return nested(sizes, all_axes(sizes)); }

View channels_last(const Shape& sizes) {
  std::vector<std::size_t> order = all_axes(sizes);
  if (order.size() > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return nested(sizes, order);
}

View like(const View& other) {
  return is_dense(other) ? nested(other.sizes, nesting(other)) : row_major(other.sizes);
}

bool is_dense(const View& view) { return is_filled(view, nesting(view)); }

bool is_row_major(const View& view) { return is_filled(view, all_axes(view.sizes)); }

View permuted(const View& view, const std::vector<std::int64_t>& axes) {
  View result{{}, {}, view.offset};
  for (const std::int64_t axis : axes) {
    result.sizes.push_back(view.sizes[static_cast<std::size_t>(axis)]);
    result.strides.push_back(view.strides[static_cast<std::size_t>(axis)]);
  }
  return result;
}

View sliced(const View& view, std::size_t axis, std::int64_t start, std::int64_t step,
            std::int64_t count) {
  View result = view;
  result.offset += start * view.strides[axis];
  result.strides[axis] *= step;
  result.sizes[axis] = count;
  return result;
}

std::optional<View> reshaped(const View& view, const Shape& sizes) {
  assert(num_elements(view.sizes) == num_elements(sizes));
  // Axes of size 1 say nothing; neighbours that are one stretch are joined.
  Shape joined;
  Shape steps;
  for (std::size_t axis = 0; axis < view.rank(); ++axis) {
    if (view.sizes[axis] == 1) continue;
    if (!joined.empty() && steps.back() == view.strides[axis] * view.sizes[axis]) {
      joined.back() *= view.sizes[axis];
      steps.back() = view.strides[axis];
    } else {
      joined.push_back(view.sizes[axis]);
      steps.push_back(view.strides[axis]);
    }
  }
  // Each joined axis, from the innermost, is cut into new ones.
  View result{sizes, Shape(sizes.size()), view.offset};
  std::size_t source = joined.size();
  std::int64_t left = 1;    // what the source has left to be cut
  std::int64_t stride = 1;  // of the next cut
  for (std::size_t axis = sizes.size(); axis-- > 0;) {
    if (sizes[axis] == 1) {
      result.strides[axis] = stride;
      continue;
    }
    if (left == 1) {
      --source;
      left = joined[source];
      stride = steps[source];
    }
    if (left % sizes[axis] != 0) return std::nullopt;
    result.strides[axis] = stride;
    stride *= sizes[axis];
    left /= sizes[axis];
  }
  return result;
}

View expanded(const View& view, const Shape& sizes) {
  View result{sizes, Shape(sizes.size()), view.offset};
  const std::size_t added = sizes.size() - view.rank();
  for (std::size_t axis = added; axis < sizes.size(); ++axis) {
    const bool is_repeated = view.sizes[axis - added] != sizes[axis];
    assert(!is_repeated || view.sizes[axis - added] == 1);
    result.strides[axis] = is_repeated ? 0 : view.strides[axis - added];
  }
  return result;
}

Axes padded_sizes(const Shape& sizes) {
  Axes axes;
  axes.fill(1);
  std::copy(sizes.begin(), sizes.end(), axes.end() - static_cast<std::ptrdiff_t>(sizes.size()));
  return axes;
}

Axes padded_strides(const View& view) {
  Axes axes{};
  std::copy(view.strides.begin(), view.strides.end(),
            axes.end() - static_cast<std::ptrdiff_t>(view.rank()));
  return axes;
}

}  // namespace hybridquant::runtime

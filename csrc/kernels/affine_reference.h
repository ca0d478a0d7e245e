// What the reference kernels on floats share. For *_ref only; never included by code that is
// compiled per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/affine.h"

namespace hybridquant::kernels {

// Visits the elements of the blocks [begin, end), with their channels, in memory order.
template <typename Visit>
void for_each_element(const AffineLayout& layout, std::int64_t begin, std::int64_t end,
                      Visit visit) {
  if (begin >= end) return;
  const std::int64_t stop = first_element(layout, end);
  for (std::int64_t i = first_element(layout, begin); i < stop; ++i) {
    visit(i, i / layout.inner % layout.channels);
  }
}

// Visits the elements of one channel in one block, with the lane that each is added to.
template <typename Visit>
void for_each_lane(const AffineLayout& layout, std::int64_t block, std::int64_t channel,
                   Visit visit) {
  const std::int64_t begin = first_element(layout, block);
  const std::int64_t end = first_element(layout, block + 1);
  const bool is_last = layout.is_channel_last();
  const std::int64_t stride = is_last ? layout.channels : 1;
  const std::int64_t num_lanes = is_last ? rows_per_step(layout) : kLanes;
  std::int64_t position = 0;
  for (std::int64_t i = begin + (is_last ? channel : 0); i < end; i += stride) {
    visit(i, static_cast<std::size_t>(position++ % num_lanes));
  }
}

// Calls sum(block, channel, partial) for each partial sum of the blocks [begin, end).
template <typename Sum>
void for_each_partial(const AffineLayout& layout, std::int64_t begin, std::int64_t end, Sum sum) {
  const std::int64_t channels = layout.channels;
  for (std::int64_t block = begin; block < end; ++block) {
    if (layout.is_channel_last()) {
      for (std::int64_t c = 0; c < channels; ++c) sum(block, c, block * channels + c);
    } else {
      sum(block, block / blocks_per_row(layout) % channels, block);
    }
  }
}

}  // namespace hybridquant::kernels

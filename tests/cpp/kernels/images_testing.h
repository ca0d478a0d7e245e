// Images with gaps, for the tests of kernels that read and write them.
#pragma once

#include <cstdint>

namespace hybridquant::kernels {

// Of images with their channels last; each pixel, row and image is followed by elements that
// nothing may read or write, unless gap is 0.
struct ImageStrides {
  std::int64_t column, row, batch;
};

inline ImageStrides image_strides(std::int64_t height, std::int64_t width, std::int64_t channels,
                                  std::int64_t gap) {
  const std::int64_t row = width * (channels + gap) + 2 * gap;
  return {channels + gap, row, height * row + 3 * gap};
}

}  // namespace hybridquant::kernels

// From photographs to images of a model's size: the bytes that hybridquant.data normalises, which
// are those of timm's evaluation transform on Pillow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hybridquant::runtime {

// Pixels in red, green and blue.
struct Photograph {
  std::int64_t height;  // 1 to 2^31 - 1
  std::int64_t width;
  std::vector<std::uint8_t> pixels;  // [height, width, 3]
};

// How a photograph becomes an image; hybridquant.data.DataConfig has the same fields.
struct Preprocessing {
  std::string interpolation;  // bicubic or bilinear
  double crop_pct;            // share of the resized photograph's edges; above 0, at most 1
  // center: both edges are scaled alike, so that the crop just fits; squash: each edge on its own.
  // DataConfig's border, which pads with the model's mean, is not supported.
  std::string crop_mode;
  std::int64_t height;  // of the image, 1 to 2^31 - 1
  std::int64_t width;
};

// Returns the image, [3, height, width]: the photograph is resized and the middle of it cut out.
// Bit for bit what Pillow 13 computes, which adds up weighted bytes in fixed point; only what the
// cut shows is computed.
// Throws ModelError where a field is not as said above, or where an edge of the resized
// photograph would have 2^31 pixels or more.
std::vector<std::uint8_t> preprocess(const Photograph& photograph,
                                     const Preprocessing& preprocessing);

}  // namespace hybridquant::runtime

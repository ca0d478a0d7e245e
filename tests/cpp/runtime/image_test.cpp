#include "runtime/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "runtime/error.h"

namespace hybridquant::runtime {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A photograph whose three channels are the same.
Photograph gray(std::int64_t height, std::int64_t width, const Bytes& levels) {
  Photograph photograph{.height = height, .width = width, .pixels = {}};
  for (const std::uint8_t level : levels)
    photograph.pixels.insert(photograph.pixels.end(), 3, level);
  return photograph;
}

// The first plane of the image that all of a gray photograph is resized to.
Bytes squashed(const Photograph& photograph, const char* interpolation, std::int64_t height,
               std::int64_t width) {
  const Bytes image = preprocess(photograph, {interpolation, 1.0, "squash", height, width});
  const auto plane = static_cast<std::ptrdiff_t>(height * width);
  EXPECT_EQ(image.size(), static_cast<std::size_t>(3 * plane));
  EXPECT_TRUE(std::equal(image.begin(), image.begin() + plane, image.begin() + plane));
  EXPECT_TRUE(std::equal(image.begin(), image.begin() + plane, image.begin() + 2 * plane));
  return {image.begin(), image.begin() + plane};
}

// The first plane of the image that is the middle of a photograph of the same height.
Bytes middle(const Photograph& photograph, double crop_pct, std::int64_t height,
             std::int64_t width) {
  const Bytes image = preprocess(photograph, {"bilinear", crop_pct, "center", height, width});
  return {image.begin(), image.begin() + static_cast<std::ptrdiff_t>(height * width)};
}

TEST(Preprocess, PutsEachChannelIntoAPlane) {
  const Photograph photograph{
      .height = 2, .width = 2, .pixels = {1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32, 33}};
  const Bytes planes = {1, 11, 21, 31, 2, 12, 22, 32, 3, 13, 23, 33};
  for (const char* interpolation : {"bicubic", "bilinear"}) {
    EXPECT_EQ(preprocess(photograph, {interpolation, 1.0, "squash", 2, 2}), planes);
    EXPECT_EQ(preprocess(photograph, {interpolation, 1.0, "center", 2, 2}), planes);
  }
}

// Centers are 0.25, 0.75, ...: a quarter of one pixel and three of the other, or one pixel alone.
TEST(Preprocess, EnlargesBilinearly) {
  EXPECT_EQ(squashed(gray(1, 2, {0, 100}), "bilinear", 1, 4), Bytes({0, 25, 75, 100}));
  EXPECT_EQ(squashed(gray(2, 1, {0, 100}), "bilinear", 4, 1), Bytes({0, 25, 75, 100}));
}

TEST(Preprocess, RoundsHalvesUp) {
  EXPECT_EQ(squashed(gray(1, 2, {0, 2}), "bilinear", 1, 4), Bytes({0, 1, 2, 2}));
}

// The filter is 4 pixels wide and cut at the edges: (3 * 0 + 3 * 70 + 140) / 7; or 10 pixels wide:
// 255 / 3.8.
TEST(Preprocess, ReadsEveryPixelWhereItShrinks) {
  EXPECT_EQ(squashed(gray(1, 4, {0, 70, 140, 210}), "bilinear", 1, 2), Bytes({50, 160}));
  EXPECT_EQ(squashed(gray(1, 5, {0, 0, 255, 0, 0}), "bilinear", 1, 1), Bytes({67}));
}

// Next to the step: 255 * (0.2265625 - 0.0234375) = 51.8; further off the weights of white pixels
// sum to -0.07 and -0.02, or to 1 and as much.
TEST(Preprocess, ClampsWhatBicubicOvershoots) {
  EXPECT_EQ(squashed(gray(1, 4, {0, 0, 255, 255}), "bicubic", 1, 8),
            Bytes({0, 0, 0, 52, 203, 255, 255, 255}));
}

TEST(Preprocess, MakesManyPixelsOfOne) {
  EXPECT_EQ(squashed(gray(1, 1, {7}), "bicubic", 3, 5), Bytes(15, 7));
  EXPECT_EQ(squashed(gray(1, 1, {7}), "bilinear", 3, 5), Bytes(15, 7));
}

// Half of one in a row is rounded up to 1, less than half of the ones in a column down to 0.
TEST(Preprocess, DoesColumnsFirstWhereTheHeightLosesMost) {
  // The height loses 2 and the width 1: rows become 1, 1, 0, of which 5/7 is rounded up.
  EXPECT_EQ(squashed(gray(3, 2, {0, 1, 1, 0, 0, 0}), "bilinear", 1, 1), Bytes({1}));
  // The height loses 3 and the width 1: columns become 0, 0.
  EXPECT_EQ(squashed(gray(4, 2, {0, 0, 0, 1, 1, 0, 0, 0}), "bilinear", 1, 1), Bytes({0}));
}

// The middle begins half way between two pixels: at the even one.
TEST(Preprocess, CutsOutTheMiddle) {
  EXPECT_EQ(middle(gray(1, 2, {1, 2}), 1.0, 1, 1), Bytes({1}));
  EXPECT_EQ(middle(gray(1, 3, {1, 2, 3}), 1.0, 1, 1), Bytes({2}));
  EXPECT_EQ(middle(gray(1, 4, {1, 2, 3, 4}), 1.0, 1, 1), Bytes({3}));
  EXPECT_EQ(middle(gray(1, 6, {1, 2, 3, 4, 5, 6}), 1.0, 1, 1), Bytes({3}));
}

void expect_error(const Photograph& photograph, const Preprocessing& preprocessing,
                  const std::string& text) {
  try {
    preprocess(photograph, preprocessing);
    FAIL() << "accepted, not: " << text;
  } catch (const ModelError& error) {
    EXPECT_EQ(error.what(), text);
  }
}

TEST(Preprocess, RefusesWhatItDoesNotSupport) {
  const Photograph pixel = gray(1, 1, {0});
  expect_error(pixel, {"nearest", 1.0, "center", 1, 1},
               "preprocess: interpolation must be bicubic or bilinear, got 'nearest'");
  expect_error(pixel, {"bilinear", 1.0, "border", 1, 1},
               "preprocess: crop_mode must be center or squash, got 'border'");
  expect_error(pixel, {"bilinear", 0.0, "center", 1, 1},
               "preprocess: crop_pct must be above 0 and at most 1, got 0");
  expect_error(pixel, {"bilinear", 1.5, "center", 1, 1},
               "preprocess: crop_pct must be above 0 and at most 1, got 1.5");
  expect_error(pixel, {"bilinear", std::nan(""), "center", 1, 1},
               "preprocess: crop_pct must be above 0 and at most 1, got nan");
  expect_error(pixel, {"bilinear", 1.0, "center", 0, 1},
               "preprocess: height and width must be 1 to 2^31 - 1, got 0");
}

TEST(Preprocess, RefusesSizesThatDoNotFit) {
  const Photograph pixel = gray(1, 1, {0});
  expect_error(pixel, {"bilinear", 1e-9, "squash", 224, 224},
               "preprocess: crop_pct must leave edges below 2^31, got 1e-09 for an edge of 224");
  expect_error(gray(1, 16, Bytes(16)), {"bilinear", 1e-6, "center", 224, 224},
               "preprocess: the resized photograph must have edges below 2^31, got 224000000 x "
               "3584000000");
  expect_error({.height = 0, .width = 1, .pixels = {}}, {"bilinear", 1.0, "center", 1, 1},
               "preprocess: edges of the photograph must be 1 to 2^31 - 1, got 0");
  expect_error({.height = 1, .width = 2, .pixels = {1, 2, 3}}, {"bilinear", 1.0, "center", 1, 1},
               "preprocess: photograph must have 2 pixels of 3 bytes, got 3 bytes");
}

}  // namespace
}  // namespace hybridquant::runtime

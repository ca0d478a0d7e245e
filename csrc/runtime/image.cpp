#include "runtime/image.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include "runtime/error.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kChannels = 3;
constexpr std::int64_t kLargestEdge = (std::int64_t{1} << 31) - 1;
// Weights are integers, 1 being 2^22: 8 bits of a pixel, 22 of a weight and 2 for overshoot
// make 32.
constexpr int kWeightBits = 22;

// The weight of a pixel at a distance, in pixels of the smaller of both sizes; 0 beyond `support`.
struct Filter {
  const char* name;
  double support;
  double (*weight)(double distance);
};

double bilinear_weight(double distance) {
  const double x = std::abs(distance);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
double bicubic_weight(double distance) {
  constexpr double kA = -0.5;
  const double x = std::abs(distance);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * kA;
  return 0.0;
}

constexpr Filter kFilters[] = {{"bicubic", 2.0, bicubic_weight},
                               {"bilinear", 1.0, bilinear_weight}};

// An edge of the photograph, of the resized photograph, and the stretch of the latter to compute.
struct Edge {
  std::int64_t from;
  std::int64_t to;
  std::int64_t begin;
  std::int64_t count;
};

// Where the weights of one resized row or column are, and the pixels that they are for.
struct Window {
  std::int64_t first_pixel;
  std::int64_t num_pixels;
  std::size_t first_weight;
};

struct Windows {
  std::int64_t begin;       // the first pixel of all windows, which count from it
  std::int64_t num_pixels;  // of all windows
  std::vector<Window> of;   // [edge.count]
  std::vector<std::int32_t> weights;
};

// Appends the weights of the pixels around `center`. They are rounded half away from zero.
void append_weights(const Filter& filter, double shrinkage, double center, const Window& window,
                    std::vector<double>& exact, std::vector<std::int32_t>& weights) {
  exact.clear();
  double sum = 0.0;
  for (std::int64_t i = 0; i < window.num_pixels; ++i) {
    const auto pixel = static_cast<double>(window.first_pixel + i);
    exact.push_back(filter.weight((pixel - center + 0.5) * (1.0 / shrinkage)));
    sum += exact.back();
  }
  for (const double weight : exact) {
    const double scaled = weight / sum * (1 << kWeightBits);
    weights.push_back(static_cast<std::int32_t>(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5));
  }
}

// Where an edge shrinks, the filter is as much wider, so that every pixel counts.
Windows find_windows(const Filter& filter, const Edge& edge) {
  const double scale = static_cast<double>(edge.from) / static_cast<double>(edge.to);
  const double shrinkage = std::max(scale, 1.0);
  const double support = filter.support * shrinkage;
  Windows windows{};
  std::vector<double> exact;
  for (std::int64_t i = edge.begin; i < edge.begin + edge.count; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = static_cast<std::int64_t>(std::max(center - support + 0.5, 0.0));
    const auto last = std::min(static_cast<std::int64_t>(center + support + 0.5), edge.from);
    windows.of.push_back({first, last - first, windows.weights.size()});
    append_weights(filter, shrinkage, center, windows.of.back(), exact, windows.weights);
  }
  windows.begin = windows.of.front().first_pixel;
  windows.num_pixels = windows.of.back().first_pixel + windows.of.back().num_pixels - windows.begin;
  for (Window& window : windows.of) window.first_pixel -= windows.begin;
  return windows;
}

// A rectangle of a photograph.
struct Region {
  const std::uint8_t* pixels;  // [height, stride], of which the first 3 * width of a row count
  std::int64_t height;
  std::int64_t width;
  std::int64_t stride;
};

Region region_of(const Photograph& photograph, std::int64_t row, std::int64_t column,
                 std::int64_t height, std::int64_t width) {
  const std::int64_t stride = photograph.width * kChannels;
  return {photograph.pixels.data() + row * stride + column * kChannels, height, width, stride};
}

Photograph blank(std::int64_t height, std::int64_t width) {
  return {height, width,
          std::vector<std::uint8_t>(static_cast<std::size_t>(height * width * kChannels))};
}

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

// |sum| < 2^31: the magnitudes of weights add up to less than 1.5 * 2^22, and 255 * 1.5 + 1 < 2^9.
std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

// Gives every row as many pixels as there are windows.
Photograph resize_rows(const Region& from, const Windows& windows) {
  Photograph result = blank(from.height, static_cast<std::int64_t>(windows.of.size()));
  std::uint8_t* to = result.pixels.data();
  for (std::int64_t row = 0; row < from.height; ++row) {
    for (const Window& window : windows.of) {
      const std::uint8_t* pixel = from.pixels + row * from.stride + window.first_pixel * kChannels;
      const std::int32_t* const weights = windows.weights.data() + window.first_weight;
      std::int32_t red = kHalf;
      std::int32_t green = kHalf;
      std::int32_t blue = kHalf;
      for (std::int64_t i = 0; i < window.num_pixels; ++i, pixel += kChannels) {
        red += pixel[0] * weights[i];
        green += pixel[1] * weights[i];
        blue += pixel[2] * weights[i];
      }
      *to++ = to_byte(red);
      *to++ = to_byte(green);
      *to++ = to_byte(blue);
    }
  }
  return result;
}

// Gives every column as many pixels as there are windows.
Photograph resize_columns(const Region& from, const Windows& windows) {
  Photograph result = blank(static_cast<std::int64_t>(windows.of.size()), from.width);
  std::uint8_t* to = result.pixels.data();
  std::vector<std::int32_t> sums(static_cast<std::size_t>(from.width * kChannels));
  for (const Window& window : windows.of) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (std::int64_t i = 0; i < window.num_pixels; ++i) {
      const std::uint8_t* channel = from.pixels + (window.first_pixel + i) * from.stride;
      const std::int32_t weight =
          windows.weights[window.first_weight + static_cast<std::size_t>(i)];
      for (std::int32_t& sum : sums) sum += *channel++ * weight;
    }
    for (const std::int32_t sum : sums) *to++ = to_byte(sum);
  }
  return result;
}

// The result of the first pass is rounded to bytes, so their order decides the last bit. Pillow,
// from 13.0 on, does columns first where the height loses more than twice what the width loses;
// before, it did rows first always.
bool does_columns_first(const Edge& vertical, const Edge& horizontal) {
  const std::int64_t lost_height = vertical.from - vertical.to;
  const std::int64_t lost_width = horizontal.from - horizontal.to;
  return lost_height > 0 && lost_height > 2 * lost_width;
}

Photograph resize(const Photograph& photograph, const Filter& filter, const Edge& vertical,
                  const Edge& horizontal) {
  const Windows rows = find_windows(filter, vertical);
  const Windows columns = find_windows(filter, horizontal);
  const Region used =
      region_of(photograph, rows.begin, columns.begin, rows.num_pixels, columns.num_pixels);
  const bool is_columns_first = does_columns_first(vertical, horizontal);
  const Photograph half =
      is_columns_first ? resize_columns(used, rows) : resize_rows(used, columns);
  const Region whole = region_of(half, 0, 0, half.height, half.width);
  return is_columns_first ? resize_rows(whole, columns) : resize_columns(whole, rows);
}

std::vector<std::uint8_t> to_planes(const Photograph& photograph) {
  std::vector<std::uint8_t> planes(photograph.pixels.size());
  const std::size_t plane_size = planes.size() / kChannels;
  const std::uint8_t* pixel = photograph.pixels.data();
  for (std::size_t i = 0; i < plane_size; ++i, pixel += kChannels) {
    planes[i] = pixel[0];
    planes[plane_size + i] = pixel[1];
    planes[2 * plane_size + i] = pixel[2];
  }
  return planes;
}

struct Size {
  std::int64_t height;
  std::int64_t width;
};

// The edge of which a crop of `edge` pixels is the share crop_pct.
std::int64_t scaled_edge(std::int64_t edge, double crop_pct) {
  const double scaled = std::floor(static_cast<double>(edge) / crop_pct);
  require(scaled <= static_cast<double>(kLargestEdge),
          "preprocess: crop_pct must leave edges below 2^31, got ", crop_pct, " for an edge of ",
          edge);
  return static_cast<std::int64_t>(scaled);
}

// Size of the resized photograph, at least the image's.
Size resized(const Photograph& photograph, const Preprocessing& preprocessing) {
  const Size scaled{.height = scaled_edge(preprocessing.height, preprocessing.crop_pct),
                    .width = scaled_edge(preprocessing.width, preprocessing.crop_pct)};
  if (preprocessing.crop_mode == "squash") return scaled;
  const std::int64_t height = photograph.height;
  const std::int64_t width = photograph.width;
  // timm rounds the longer edge down where both scaled edges are the same, and to nearest else.
  if (scaled.height == scaled.width) {
    if (width <= height) return {.height = scaled.width * height / width, .width = scaled.width};
    return {.height = scaled.height, .width = scaled.height * width / height};
  }
  const double ratio = std::min(static_cast<double>(height) / static_cast<double>(scaled.height),
                                static_cast<double>(width) / static_cast<double>(scaled.width));
  return {.height = std::llrint(static_cast<double>(height) / ratio),
          .width = std::llrint(static_cast<double>(width) / ratio)};
}

// The middle of a resized edge, rounded half to even.
Edge middle(std::int64_t from, std::int64_t to, std::int64_t count) {
  const std::int64_t begin = std::llrint(static_cast<double>(to - count) / 2.0);
  return {.from = from, .to = to, .begin = begin, .count = count};
}

const Filter& find_filter(const std::string& name) {
  const Filter* const found =
      std::find_if(std::begin(kFilters), std::end(kFilters),
                   [&](const Filter& filter) { return name == filter.name; });
  require(found != std::end(kFilters),
          "preprocess: interpolation must be bicubic or bilinear, got '", name, "'");
  return *found;
}

void check(const Photograph& photograph, const Preprocessing& preprocessing) {
  const std::string& mode = preprocessing.crop_mode;
  require(mode == "center" || mode == "squash",
          "preprocess: crop_mode must be center or squash, got '", mode, "'");
  require(preprocessing.crop_pct > 0.0 && preprocessing.crop_pct <= 1.0,
          "preprocess: crop_pct must be above 0 and at most 1, got ", preprocessing.crop_pct);
  for (const std::int64_t edge : {preprocessing.height, preprocessing.width}) {
    require(edge >= 1 && edge <= kLargestEdge,
            "preprocess: height and width must be 1 to 2^31 - 1, got ", edge);
  }
  for (const std::int64_t edge : {photograph.height, photograph.width}) {
    require(edge >= 1 && edge <= kLargestEdge,
            "preprocess: edges of the photograph must be 1 to 2^31 - 1, got ", edge);
  }
  const auto num_pixels = static_cast<std::size_t>(photograph.height * photograph.width);
  require(photograph.pixels.size() == num_pixels * kChannels, "preprocess: photograph must have ",
          num_pixels, " pixels of 3 bytes, got ", photograph.pixels.size(), " bytes");
}

}  // namespace

std::vector<std::uint8_t> preprocess(const Photograph& photograph,
                                     const Preprocessing& preprocessing) {
  const Filter& filter = find_filter(preprocessing.interpolation);
  check(photograph, preprocessing);
  const Size size = resized(photograph, preprocessing);
  require(size.height <= kLargestEdge && size.width <= kLargestEdge,
          "preprocess: the resized photograph must have edges below 2^31, got ", size.height, " x ",
          size.width);
  return to_planes(resize(photograph, filter,
                          middle(photograph.height, size.height, preprocessing.height),
                          middle(photograph.width, size.width, preprocessing.width)));
}

}  // namespace hybridquant::runtime

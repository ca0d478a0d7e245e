#include "ops/level_arguments.h"

#include <cmath>

#include "ops/check.h"

namespace hybridquant::ops {

namespace {

// Codes have at most 16 bits.
constexpr std::int64_t kMaxLevels = 65536;

std::vector<float> check_finite(std::string_view op, std::string_view name, const Tensor& tensor) {
  std::vector<float> values = to_vector(tensor);
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(std::isfinite(values[i]), op, ": ", name, " must be finite, got ", values[i],
          " at index ", i, std::isnan(values[i]) ? "; calibrate first" : "");
  }
  return values;
}

}  // namespace

LevelTableStorage::LevelTableStorage(std::string_view op, const Tensor& x, const Tensor& levels,
                                     const Tensor& thresholds) {
  check_parameter(op, "levels", "x", levels, x);
  check_parameter(op, "thresholds", "x", thresholds, x);
  const std::int64_t num_levels = levels.numel();
  check(num_levels >= 2 && num_levels <= kMaxLevels, op, ": levels must have 2 to ", kMaxLevels,
        " elements, got ", num_levels);
  check(thresholds.numel() == num_levels - 1, op,
        ": thresholds must have one element less than levels (", num_levels - 1, "), got ",
        thresholds.numel());
  const std::vector<float> level_values = check_finite(op, "levels", levels);
  const std::vector<float> threshold_values = check_finite(op, "thresholds", thresholds);
  for (std::size_t i = 1; i < threshold_values.size(); ++i) {
    check(threshold_values[i - 1] <= threshold_values[i], op,
          ": thresholds must not decrease, got ", threshold_values[i], " behind ",
          threshold_values[i - 1], " at index ", i);
  }
  storage_.resize(static_cast<std::size_t>(kernels::level_table_size(num_levels)));
  table_ = kernels::prepare_level_table(storage_.data(), level_values.data(),
                                        threshold_values.data(), num_levels);
}

}  // namespace hybridquant::ops

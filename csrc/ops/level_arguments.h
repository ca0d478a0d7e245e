// The checked levels and thresholds of a quantizer.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/fake_quant_levels.h"
#include "ops/affine_arguments.h"

namespace hybridquant::ops {

// The kernels' table of levels, together with its memory. Throws as check_affine_arguments() does
// unless there are at least two levels and one threshold less, all finite and no threshold below
// the one before.
class LevelTableStorage {
 public:
  LevelTableStorage(std::string_view op, const Tensor& x, const Tensor& levels,
                    const Tensor& thresholds);
  LevelTableStorage(const LevelTableStorage&) = delete;
  LevelTableStorage& operator=(const LevelTableStorage&) = delete;

  [[nodiscard]] const kernels::LevelTable& table() const { return table_; }

 private:
  std::vector<float> storage_;
  kernels::LevelTable table_;
};

}  // namespace hybridquant::ops

// The attributes of a node, each of which must be asked for.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernels/fixed_point.h"
#include "runtime/graph.h"

namespace hybridquant::runtime {

// Every function throws ModelError where the attribute is missing, of another kind, or out of
// range.
class Attributes {
 public:
  Attributes(const NodeInfo& node, std::string where) : node_(node), where_(std::move(where)) {}

  [[nodiscard]] bool has(const std::string& name) const { return node_.attributes.contains(name); }
  std::int64_t get_int(const std::string& name, std::int64_t lowest, std::int64_t highest);
  std::vector<std::int64_t> get_ints(const std::string& name, std::int64_t lowest,
                                     std::int64_t highest);
  // The same for a list of `count`.
  std::vector<std::int64_t> get_ints(const std::string& name, std::size_t count,
                                     std::int64_t lowest, std::int64_t highest);
  bool get_bool(const std::string& name);
  const std::string& get_string(const std::string& name);
  // Sizes, of 1 to kLargestRank axes.
  Shape get_shape(const std::string& name);
  // The attributes m, 0 to 2^31 - 1, and shift, 1 to 62.
  kernels::Multiplier get_multiplier();
  // The attribute rounding, "half_even" or, for one factor, "double"; kSingle where there is none.
  kernels::Rounding get_rounding(bool has_one_factor);

  // Throws where an attribute was not asked for.
  void finish() const;

 private:
  template <typename T>
  const T& get(const std::string& name, const char* kind);

  const NodeInfo& node_;
  std::string where_;
  std::set<std::string> known_;
};

}  // namespace hybridquant::runtime

#include "runtime/attributes.h"

#include <limits>

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargestM = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLargestShift = 62;

}  // namespace

template <typename T>
const T& Attributes::get(const std::string& name, const char* kind) {
  const auto found = node_.attributes.find(name);
  require(found != node_.attributes.end(), where_, ": must have the attribute '", name, "'");
  known_.insert(name);
  const T* const value = std::get_if<T>(&found->second);
  require(value != nullptr, where_, ": attribute '", name, "' must be ", kind);
  return *value;
}

std::int64_t Attributes::get_int(const std::string& name, std::int64_t lowest,
                                 std::int64_t highest) {
  const auto value = get<std::int64_t>(name, "an integer");
  require(value >= lowest && value <= highest, where_, ": attribute '", name, "' must be ", lowest,
          " to ", highest, ", got ", value);
  return value;
}

std::vector<std::int64_t> Attributes::get_ints(const std::string& name, std::int64_t lowest,
                                               std::int64_t highest) {
  const auto& values = get<std::vector<std::int64_t>>(name, "a list of integers");
  for (const std::int64_t value : values) {
    require(value >= lowest && value <= highest, where_, ": attribute '", name, "' must hold ",
            lowest, " to ", highest, ", got ", list_text(values));
  }
  return values;
}

std::vector<std::int64_t> Attributes::get_ints(const std::string& name, std::size_t count,
                                               std::int64_t lowest, std::int64_t highest) {
  std::vector<std::int64_t> values = get_ints(name, lowest, highest);
  require(values.size() == count, where_, ": attribute '", name, "' must hold ", count,
          " integers, got ", list_text(values));
  return values;
}

bool Attributes::get_bool(const std::string& name) { return get<bool>(name, "true or false"); }

const std::string& Attributes::get_string(const std::string& name) {
  return get<std::string>(name, "a string");
}

Shape Attributes::get_shape(const std::string& name) {
  const auto& sizes = get<std::vector<std::int64_t>>(name, "a list of integers");
  require(!sizes.empty() && sizes.size() <= kLargestRank, where_, ": attribute '", name,
          "' must hold 1 to ", kLargestRank, " sizes, got ", list_text(sizes));
  return sizes;
}

kernels::Multiplier Attributes::get_multiplier() {
  const std::int64_t m = get_int("m", 0, kLargestM);
  const std::int64_t shift = get_int("shift", 1, kLargestShift);
  return {static_cast<std::int32_t>(m), static_cast<std::int32_t>(shift)};
}

kernels::Rounding Attributes::get_rounding(bool has_one_factor) {
  if (!has("rounding")) return kernels::Rounding::kSingle;
  const std::string& name = get_string("rounding");
  if (name == "half_even") return kernels::Rounding::kHalfEven;
  require(has_one_factor && name == "double", where_, ": attribute 'rounding' must be half_even",
          has_one_factor ? " or double" : "", ", got '", name, "'");
  return kernels::Rounding::kDouble;
}

void Attributes::finish() const {
  for (const auto& [name, value] : node_.attributes) {
    require(known_.contains(name), where_, ": unknown attribute '", name, "'");
  }
}

}  // namespace hybridquant::runtime

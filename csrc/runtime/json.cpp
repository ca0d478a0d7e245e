#include "runtime/json.h"

#include <cmath>
#include <utility>

#include "runtime/error.h"

namespace hybridquant::runtime {

namespace {

// A graph's lists and objects lie at most 5 deep.
constexpr int kLargestDepth = 16;

std::string kind_of(const Json& value) { return value.type_name(); }

}  // namespace

Json parse_json(const std::string& content, const std::string& where) {
  using Event = Json::parse_event_t;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Event event, const Json& parsed) {
    require(depth <= kLargestDepth, where, ": must be nested at most ", kLargestDepth, " deep");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      require(keys.back().insert(key).second, where, ": must have each key once, got '", key,
              "' twice");
    }
    return true;
  };
  try {
    return Json::parse(content, check);
  } catch (const Json::exception& error) {
    fail(where, ": must be JSON, got: ", error.what());
  }
}

std::int64_t read_int(const Json& value, const std::string& where, std::int64_t lowest,
                      std::int64_t highest) {
  require(value.is_number_integer(), where, " must be an integer, got ", kind_of(value));
  // Above 2^63 - 1 a number is unsigned, and as a signed one negative.
  const bool is_huge = value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 != 0;
  const auto number = value.get<std::int64_t>();
  require(!is_huge && number >= lowest && number <= highest, where, " must be ", lowest, " to ",
          highest, ", got ", value.dump());
  return number;
}

std::vector<std::int64_t> read_ints(const Json& value, const std::string& where,
                                    std::int64_t lowest, std::int64_t highest) {
  require(value.is_array(), where, " must be a list of integers, got ", kind_of(value));
  std::vector<std::int64_t> numbers;
  numbers.reserve(value.size());
  for (const Json& entry : value) numbers.push_back(read_int(entry, where, lowest, highest));
  return numbers;
}

double read_number(const Json& value, const std::string& where) {
  require(value.is_number(), where, " must be a number, got ", kind_of(value));
  const auto number = value.get<double>();
  require(std::isfinite(number), where, " must be finite");
  return number;
}

const std::string& read_string(const Json& value, const std::string& where) {
  require(value.is_string(), where, " must be a string, got ", kind_of(value));
  return value.get_ref<const std::string&>();
}

std::vector<std::string> read_strings(const Json& value, const std::string& where) {
  require(value.is_array(), where, " must be a list of strings, got ", kind_of(value));
  std::vector<std::string> result;
  result.reserve(value.size());
  for (const Json& entry : value) result.push_back(read_string(entry, where));
  return result;
}

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  require(object.is_object(), where_, " must be an object, got ", kind_of(object));
}

const Json& Fields::operator[](const std::string& key) {
  const Json* const found = find(key);
  require(found != nullptr, where_, ": must have the key '", key, "'");
  return *found;
}

const Json* Fields::find(const std::string& key) {
  const auto found = object_.find(key);
  known_.insert(key);
  return found == object_.end() ? nullptr : &*found;
}

void Fields::finish() const {
  for (const auto& [key, value] : object_.items()) {
    require(known_.contains(key), where_, ": unknown key '", key, "'");
  }
}

}  // namespace hybridquant::runtime

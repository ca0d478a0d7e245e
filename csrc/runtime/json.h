// Strict reading of JSON: every value is checked for kind and range, every key must be known.
// Only the loader includes this.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace hybridquant::runtime {

using Json = nlohmann::json;

// Each throws ModelError naming `where`.
// A key that stands twice in an object is refused, too.
Json parse_json(const std::string& content, const std::string& where);
std::int64_t read_int(const Json& value, const std::string& where, std::int64_t lowest,
                      std::int64_t highest);
std::vector<std::int64_t> read_ints(const Json& value, const std::string& where,
                                    std::int64_t lowest, std::int64_t highest);
double read_number(const Json& value, const std::string& where);
const std::string& read_string(const Json& value, const std::string& where);
std::vector<std::string> read_strings(const Json& value, const std::string& where);

// The keys of an object, each of which must be asked for.
class Fields {
 public:
  // Throws ModelError where `object` is none. It must outlive this.
  Fields(const Json& object, std::string where);

  // Throws ModelError where there is no such key.
  const Json& operator[](const std::string& key);
  // Null where there is no such key.
  const Json* find(const std::string& key);

  // Throws ModelError where a key was not asked for.
  void finish() const;

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> known_;
};

}  // namespace hybridquant::runtime

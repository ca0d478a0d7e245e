// What the loader of integer models throws, and how its texts are put together.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace hybridquant::runtime {

// A model file, or an image given to a model, that is not what it must be. The text names the
// field, what is required and what was given.
class ModelError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The parts as one text.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

// "[1, 2, 3]"
template <typename T>
std::string list_text(const std::vector<T>& values) {
  std::string result = "[";
  for (const T& value : values) {
    if (result.size() > 1) result += ", ";
    result += text(value);
  }
  return result + "]";
}

template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw ModelError(text(parts...));
}

template <typename... Parts>
void require(bool is_good, const Parts&... parts) {
  if (!is_good) fail(parts...);
}

}  // namespace hybridquant::runtime

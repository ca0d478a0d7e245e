// Changes of model files that leave them close to what loads, for tests that nothing may crash on.
#pragma once

#include <algorithm>
#include <random>

#include "runtime/model_testing.h"

namespace hybridquant::runtime {

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : generator_(seed) {}

  // One or a few changes of one kind.
  Bytes mutated(Bytes file) {
    if (file.empty()) return {std::byte{0}};
    switch (below(6)) {
      case 0:
        return with_other_bytes(std::move(file));
      case 1:
        return with_other_length(std::move(file));
      case 2:
        return with_other_numbers(std::move(file));
      default:
        return with_other_fields(file);
    }
  }

 private:
  // A value of the JSON, where it may be changed.
  struct Place {
    Json* parent;
    std::string key;    // in an object
    std::size_t index;  // in a list

    [[nodiscard]] Json& value() const {
      return parent->is_object() ? (*parent)[key] : (*parent)[index];
    }
    void erase() const {
      if (parent->is_object()) {
        parent->erase(key);
      } else {
        parent->erase(index);
      }
    }
  };

  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(generator_);
  }

  std::size_t header_size(const Bytes& file) {
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < 8 && i < file.size(); ++i) {
      size |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
    }
    return file.size() < 8 || size > file.size() - 8 ? 0 : static_cast<std::size_t>(size);
  }

  Bytes with_other_bytes(Bytes file) {
    for (std::size_t i = below(4) + 1; i > 0; --i) {
      std::byte& byte = file[below(file.size())];
      byte ^= below(2) == 0 ? std::byte(1U << below(8)) : std::byte(below(255) + 1);
    }
    return file;
  }

  Bytes with_other_length(Bytes file) {
    const auto begin = file.begin() + static_cast<std::ptrdiff_t>(below(file.size()));
    const auto count =
        std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(below(64) + 1), file.end() - begin);
    switch (below(4)) {
      case 0:
        file.erase(begin, file.end());
        break;
      case 1:
        file.erase(begin, begin + count);
        break;
      case 2:
        file.insert(begin, static_cast<std::size_t>(count), std::byte(below(256)));
        break;
      default: {
        const Bytes stretch(begin, begin + count);
        file.insert(file.begin() + static_cast<std::ptrdiff_t>(below(file.size())), stretch.begin(),
                    stretch.end());
      }
    }
    return file;
  }

  // Numbers of tensors, of any width.
  Bytes with_other_numbers(Bytes file) {
    const std::size_t start = 8 + header_size(file);
    if (start >= file.size()) return with_other_bytes(std::move(file));
    for (std::size_t i = below(3) + 1; i > 0; --i) {
      const std::size_t width = std::size_t{1} << below(4);
      const std::size_t place = start + below(file.size() - start) / width * width;
      const auto value = static_cast<std::uint64_t>(extreme());
      for (std::size_t k = 0; k < width && place + k < file.size(); ++k) {
        file[place + k] = static_cast<std::byte>(value >> (8 * k));
      }
    }
    return file;
  }

  std::int64_t extreme() {
    const int bit = static_cast<int>(below(64));
    const auto power = static_cast<std::int64_t>(std::uint64_t{1} << bit);
    switch (below(6)) {
      case 0:
        return power;
      case 1:
        return power - (bit == 63 ? 0 : 1);
      case 2:
        return bit == 63 ? power : -power;
      case 3:
        return bit == 63 ? power : -power - 1;
      default:
        return static_cast<std::int64_t>(below(12)) - 2;
    }
  }

  static void collect(Json& parent, std::vector<Place>& places) {
    std::size_t index = 0;
    if (parent.is_object()) {
      for (const auto& [key, value] : parent.items()) places.push_back({&parent, key, 0});
    } else if (parent.is_array()) {
      for (; index < parent.size(); ++index) places.push_back({&parent, "", index});
    }
    const std::size_t count = parent.is_structured() ? parent.size() : 0;
    const std::size_t first = places.size() - count;
    for (std::size_t i = first; i < first + count; ++i) collect(places[i].value(), places);
  }

  // Null where it is no JSON that is as flat as that of models.
  static Json parsed(const std::string& text) {
    try {
      return parse_json(text, "");
    } catch (const ModelError&) {
      return nullptr;
    }
  }

  // The header without the graph, or the graph.
  Bytes with_other_fields(const Bytes& file) {
    const std::size_t size = header_size(file);
    if (size == 0) return with_other_bytes(file);
    Json header = parsed({reinterpret_cast<const char*>(file.data()) + 8, size});
    if (!header.is_object()) return with_other_bytes(file);
    Json& metadata = header["__metadata__"];
    Json graph;
    if (metadata.is_object() && metadata.contains("graph") && metadata["graph"].is_string()) {
      graph = parsed(metadata["graph"]);
    }
    const bool is_graph = graph.is_structured() && below(8) != 0;
    Json& changed = is_graph ? graph : header;
    for (std::size_t i = below(3) + 1; i > 0; --i) change(changed);
    if (is_graph) metadata["graph"] = graph.dump();
    return container(header.dump(),
                     {file.begin() + 8 + static_cast<std::ptrdiff_t>(size), file.end()});
  }

  void change(Json& root) {
    std::vector<Place> places;
    collect(root, places);
    if (places.empty()) return;
    const Place& place = places[below(places.size())];
    const Json other = places[below(places.size())].value();
    switch (below(8)) {
      case 0:
        return place.erase();
      case 1:
        place.value() = other;
        return;
      case 2:
        place.value() = any_value();
        return;
      case 3:
        if (place.parent->is_array()) place.parent->push_back(other);
        return;
      case 4:
        return swap_texts(places);
      default:
        return change_number(places);
    }
  }

  Json any_value() {
    const std::vector<Json> values = {nullptr,       true,           1.5,      1e300, "", "image",
                                      Json::array(), Json::object(), extreme()};
    return values[below(values.size())];
  }

  void swap_texts(std::vector<Place>& places) {
    std::erase_if(places, [](const Place& place) { return !place.value().is_string(); });
    if (places.empty()) return;
    Json& first = places[below(places.size())].value();
    Json& second = places[below(places.size())].value();
    if (&first != &second) first.swap(second);
  }

  // One number, or all that are equal, as a size is in many places.
  void change_number(std::vector<Place>& places) {
    std::erase_if(places, [](const Place& place) { return !place.value().is_number_integer(); });
    if (places.empty()) return;
    const Json old = places[below(places.size())].value();
    const Json changed = below(3) == 0 ? places[below(places.size())].value() : Json(extreme());
    if (below(2) == 0) {
      places[below(places.size())].value() = changed;
      return;
    }
    for (const Place& place : places) {
      if (place.value() == old) place.value() = changed;
    }
  }

  std::mt19937 generator_;
};

// What became of a file.
enum class Outcome { kRefused, kLoaded, kRun };

// Loads a file, and where that works and takes little, computes an image and looks at every node.
// What is not a ModelError passes through.
inline Outcome load_and_run(std::span<const std::byte> file, std::int64_t largest_cost) {
  try {
    const Model model = Model::parse(file);
    const Program& program = model.program();
    std::int64_t cost = model.image_bytes();
    for (const Step& step : program.steps) cost = std::min(largest_cost, cost) + step.cost;
    for (const TensorInfo& tensor : model.graph().tensors) cost += num_elements(tensor.shape);
    constexpr std::int64_t kMuchMemory = 1 << 26;
    if (cost > largest_cost || program.arena_bytes > kMuchMemory) return Outcome::kLoaded;
    Session session(model);
    std::vector<std::uint8_t> image(static_cast<std::size_t>(model.image_bytes()));
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i * 37);
    std::vector<std::int32_t> logits(static_cast<std::size_t>(model.num_logits()));
    session.run(logits.data(), image.data(), 1);
    for (const auto& [name, codes] : traced(session, image)) {
      const auto& tensors = model.graph().tensors;
      const auto info =
          std::find_if(tensors.begin(), tensors.end(),
                       [&key = name](const TensorInfo& tensor) { return tensor.name == key; });
      const auto [least, most] = std::minmax_element(codes.begin(), codes.end());
      // Kernels rely on this where they read the codes.
      if (*least < info->lowest || *most > info->highest) std::abort();
    }
    return Outcome::kRun;
  } catch (const ModelError&) {
    return Outcome::kRefused;
  }
}

}  // namespace hybridquant::runtime

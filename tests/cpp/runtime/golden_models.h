// The files of tests/golden/models, written by tests/golden/make_models.py.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/tensor_file.h"

namespace hybridquant::runtime {

inline const std::string kGoldenModels = HYBRIDQUANT_GOLDEN_MODELS "/";

// A model's name, and the kinds of its nodes.
struct GoldenModel {
  std::string name;
  std::vector<std::string> ops;

  [[nodiscard]] std::vector<std::byte> file() const {
    return read_file(kGoldenModels + name + ".safetensors");
  }
  // An image, and the output of every node.
  [[nodiscard]] std::vector<std::byte> codes() const {
    return read_file(kGoldenModels + name + ".codes");
  }
};

// All of the manifest.
inline std::vector<GoldenModel> golden_models() {
  std::ifstream manifest(kGoldenModels + "manifest.txt");
  std::vector<GoldenModel> models;
  for (std::string line; std::getline(manifest, line);) {
    std::istringstream words(line);
    std::string kind;
    GoldenModel model;
    if (!(words >> kind >> model.name) || kind != "model") continue;
    for (std::string op; words >> op;) model.ops.push_back(op);
    models.push_back(model);
  }
  return models;
}

}  // namespace hybridquant::runtime

// The graph of a model file, checked for what does not depend on the operators.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/tensor_file.h"

namespace hybridquant::runtime {

// What the codes of a tensor mean whose channels have a scale and zero-point each:
// value = scales[c] * (code - zero_points[c]). Nodes count from the tensor's own zero-point; what a
// channel's differs from it is in their constants.
struct ChannelInfo {
  std::int64_t axis;
  std::vector<double> scales;             // one a channel, above 0
  std::vector<std::int64_t> zero_points;  // one a channel, lowest to highest
};

// A tensor; sizes are for one image. value = scale * (code - zero_point).
struct TensorInfo {
  std::string name;
  Shape shape;  // 1 to kLargestRank axes; 1 to 2^31 - 1 elements
  CodeType type;
  double scale;  // above 0; the largest of the channels'
  std::int64_t zero_point;
  std::int64_t lowest;  // smallest code in use: type's lowest <= lowest <= zero_point <= highest
  std::int64_t highest;
  std::string value;  // key of a constant's codes in the file; empty where a node computes them
  std::optional<ChannelInfo> channels;
};

using Attribute = std::variant<std::int64_t, bool, std::string, std::vector<std::int64_t>>;

struct ConstantInfo {
  std::string key;    // in the file
  std::int64_t bits;  // 0: as stored; 4: two codes a byte, of `shape`
  Shape shape;
};

struct NodeInfo {
  std::string op;
  std::vector<int> inputs;  // indices of tensors, each of which is there before
  int output;
  std::string path;  // of the module in the user's model
  std::map<std::string, Attribute> attributes;
  std::map<std::string, ConstantInfo> constants;
};

// How photographs become images of the model's size.
struct PreprocessingInfo {
  std::string interpolation;
  double crop_pct;
  std::string crop_mode;
};

struct Graph {
  std::string producer;
  int input;  // uint8 [1, channels, height, width]
  int output;
  std::vector<std::string> classes;
  PreprocessingInfo preprocessing;
  std::vector<TensorInfo> tensors;
  std::vector<NodeInfo> nodes;
};

// Reads the graph of a model file. Throws ModelError.
Graph read_graph(const TensorFile& file);

// "node 3 (conv2d, module 'stem.conv')", for errors.
std::string node_title(const Graph& graph, std::size_t index);

}  // namespace hybridquant::runtime

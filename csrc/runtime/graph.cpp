#include "runtime/graph.h"

#include <algorithm>
#include <limits>

#include "runtime/json.h"

namespace hybridquant::runtime {

namespace {

constexpr const char* kFormat = "hybridquant-integer";
constexpr const char* kVersion = "1";
constexpr std::size_t kLargestCount = 100'000;
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLargestSize = kMax >> 32;  // 2^31 - 1

CodeType read_type(const Json& value, const std::string& where) {
  const std::string& name = read_string(value, where);
  for (const auto type :
       {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32, CodeType::kInt64}) {
    if (name == type_name(type)) return type;
  }
  fail(where, " must be uint8, int8, int16, int32 or int64, got '", name, "'");
}

Shape read_shape(const Json& value, const std::string& where) {
  Shape shape = read_ints(value, where, 1, kLargestSize);
  require(!shape.empty() && shape.size() <= kLargestRank, where, " must have 1 to ", kLargestRank,
          " axes, got ", list_text(shape));
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    elements *= size;
    require(elements <= kLargestSize, where, " must have fewer than 2^31 elements, got ",
            list_text(shape));
  }
  return shape;
}

// One of the names, which are in the order of the alphabet.
std::string read_choice(const Json& value, const std::string& where,
                        const std::vector<std::string>& names) {
  const std::string& name = read_string(value, where);
  std::string known = names[0];
  for (std::size_t i = 1; i < names.size(); ++i) {
    known += (i + 1 < names.size() ? ", " : " or ") + names[i];
  }
  require(std::find(names.begin(), names.end(), name) != names.end(), where, " must be ", known,
          ", got '", name, "'");
  return name;
}

// Of a tensor whose other fields were read.
ChannelInfo read_channels(const Json& value, const TensorInfo& tensor, const std::string& where) {
  Fields fields(value, where);
  ChannelInfo channels;
  const auto last = static_cast<std::int64_t>(tensor.shape.size()) - 1;
  channels.axis = read_int(fields["axis"], where + ".axis", 0, last);
  const auto count =
      static_cast<std::size_t>(tensor.shape[static_cast<std::size_t>(channels.axis)]);
  channels.zero_points =
      read_ints(fields["zero_points"], where + ".zero_points", tensor.lowest, tensor.highest);
  const Json& scales = fields["scales"];
  require(scales.is_array(), where, ".scales must be a list");
  for (const Json& scale : scales) {
    channels.scales.push_back(read_number(scale, where + ".scales"));
    require(channels.scales.back() > 0, where, ".scales must be above 0, got ",
            channels.scales.back());
  }
  fields.finish();
  require(channels.scales.size() == count && channels.zero_points.size() == count, where,
          ": scales and zero_points must have ", count, " numbers, one a channel, got ",
          channels.scales.size(), " and ", channels.zero_points.size());
  const double largest = *std::max_element(channels.scales.begin(), channels.scales.end());
  const auto [low, high] =
      std::minmax_element(channels.zero_points.begin(), channels.zero_points.end());
  const std::int64_t middle = (*low + *high) >> 1;
  require(tensor.scale == largest && tensor.zero_point == middle, where,
          ": the tensor's scale must be the largest, ", largest,
          ", and its zero_point in the middle, ", middle, ", got ", tensor.scale, " and ",
          tensor.zero_point);
  return channels;
}

TensorInfo read_tensor(const Json& value, std::size_t index) {
  Fields fields(value, text("tensors[", index, "]"));
  TensorInfo tensor;
  tensor.name = read_string(fields["name"], text("tensors[", index, "].name"));
  require(!tensor.name.empty(), "tensors[", index, "].name must not be empty");
  const std::string where = "tensor '" + tensor.name + "'";
  tensor.shape = read_shape(fields["shape"], where + ": shape");
  tensor.type = read_type(fields["dtype"], where + ": dtype");
  tensor.scale = read_number(fields["scale"], where + ": scale");
  require(tensor.scale > 0, where, ": scale must be above 0, got ", tensor.scale);
  const std::int64_t least = lowest_of(tensor.type);
  const std::int64_t most = highest_of(tensor.type);
  tensor.lowest = read_int(fields["lowest"], where + ": lowest", least, most);
  tensor.highest = read_int(fields["highest"], where + ": highest", tensor.lowest, most);
  tensor.zero_point =
      read_int(fields["zero_point"], where + ": zero_point", tensor.lowest, tensor.highest);
  // Magnitudes of centred codes are compared as int64.
  require(tensor.lowest >= -(kMax >> 1) && tensor.highest <= kMax >> 1, where,
          ": codes must be below 2^62");
  const Json& constant = fields["value"];
  if (!constant.is_null()) {
    tensor.value = read_string(constant, where + ": value");
    require(tensor.value == "tensors." + tensor.name, where, ": value must be 'tensors.",
            tensor.name, "' or null, got '", tensor.value, "'");
  }
  if (const Json* const channels = fields.find("channels")) {
    tensor.channels = read_channels(*channels, tensor, where + ": channels");
  }
  fields.finish();
  return tensor;
}

Attribute read_attribute(const Json& value, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) return read_ints(value, where, kMin, kMax);
  return read_int(value, where, kMin, kMax);
}

std::string read_key(const Json& value, const std::string& where, const std::string& wanted) {
  const std::string& key = read_string(value, where);
  require(key == wanted, where, " must be '", wanted, "', got '", key, "'");
  return key;
}

// The constant `name` of the node at an index.
ConstantInfo read_constant(const Json& value, std::size_t index, const std::string& name) {
  const std::string where = text("nodes[", index, "].constants.", name);
  const std::string key = text("nodes.", index, ".", name);
  if (value.is_string()) return {read_key(value, where, key), 0, {}};
  Fields fields(value, where);
  require(name == "weight", where, " must be a key, as only a weight has 4 bits");
  ConstantInfo constant{read_key(fields["key"], where + ".key", key),
                        read_int(fields["bits"], where + ".bits", 4, 4),
                        read_shape(fields["shape"], where + ".shape")};
  fields.finish();
  return constant;
}

class GraphReader {
 public:
  explicit GraphReader(const Json& root) : fields_(root, "graph") {}

  Graph read() {
    graph_.producer = read_string(fields_["producer"], "graph.producer");
    graph_.classes = read_strings(fields_["classes"], "graph.classes");
    read_preprocessing(fields_["preprocessing"]);
    read_tensors(fields_["tensors"]);
    graph_.input = tensor_named(read_string(fields_["input"], "graph.input"), "graph.input");
    check_input();
    read_nodes(fields_["nodes"]);
    graph_.output = tensor_named(read_string(fields_["output"], "graph.output"), "graph.output");
    check_output();
    fields_.finish();
    return std::move(graph_);
  }

 private:
  [[nodiscard]] const TensorInfo& tensor_at(int index) const {
    return graph_.tensors[static_cast<std::size_t>(index)];
  }

  void read_preprocessing(const Json& value) {
    Fields fields(value, "graph.preprocessing");
    PreprocessingInfo& info = graph_.preprocessing;
    info.interpolation =
        read_choice(fields["interpolation"], "preprocessing.interpolation",
                    {"bicubic", "bilinear", "box", "hamming", "lanczos", "nearest"});
    info.crop_pct = read_number(fields["crop_pct"], "preprocessing.crop_pct");
    require(info.crop_pct > 0 && info.crop_pct <= 1,
            "preprocessing.crop_pct must be above 0, at most 1, got ", info.crop_pct);
    info.crop_mode =
        read_choice(fields["crop_mode"], "preprocessing.crop_mode", {"border", "center", "squash"});
    fields.finish();
  }

  void read_tensors(const Json& list) {
    require(list.is_array() && list.size() <= kLargestCount,
            "graph.tensors must be a list of at most ", kLargestCount);
    for (const Json& value : list) {
      graph_.tensors.push_back(read_tensor(value, graph_.tensors.size()));
      const TensorInfo& tensor = graph_.tensors.back();
      const bool is_new =
          indices_.emplace(tensor.name, static_cast<int>(graph_.tensors.size()) - 1).second;
      require(is_new, "tensor '", tensor.name, "': name must be unique, and is not");
      is_there_.push_back(!tensor.value.empty());
    }
  }

  void check_input() {
    const TensorInfo& input = tensor_at(graph_.input);
    require(input.type == CodeType::kUInt8 && input.shape.size() == 4 && input.shape[0] == 1,
            "graph.input: tensor '", input.name,
            "' must be uint8 [1, channels, height, width], got ", type_name(input.type), " ",
            list_text(input.shape));
    require(input.lowest == 0 && input.highest == highest_of(CodeType::kUInt8),
            "graph.input: lowest and highest must be 0 and 255, got ", input.lowest, " and ",
            input.highest);
    require(input.value.empty(), "graph.input: must not be a constant");
    require(!input.channels, "graph.input: must have one scale, and no channels");
    is_there_[static_cast<std::size_t>(graph_.input)] = true;
  }

  void check_output() {
    const TensorInfo& output = tensor_at(graph_.output);
    require(output.value.empty() && graph_.output != graph_.input &&
                is_there_[static_cast<std::size_t>(graph_.output)],
            "graph.output: tensor '", output.name, "' must be computed by a node");
    require(!output.channels, "graph.output: must have one scale, and no channels");
    const auto count = static_cast<std::int64_t>(graph_.classes.size());
    require(count == 0 || count == output.shape.back(), "graph.classes must hold no name or ",
            output.shape.back(), ", one a logit, got ", count);
    for (std::size_t i = 0; i < is_there_.size(); ++i) {
      require(is_there_[i], "tensor '", graph_.tensors[i].name,
              "': must have a value or a node that computes it");
    }
  }

  void read_nodes(const Json& list) {
    require(list.is_array() && list.size() <= kLargestCount,
            "graph.nodes must be a list of at most ", kLargestCount);
    for (const Json& value : list) read_node(value);
  }

  void read_node(const Json& value) {
    const std::string where = text("nodes[", graph_.nodes.size(), "]");
    Fields fields(value, where);
    NodeInfo node;
    node.op = read_string(fields["op"], where + ".op");
    node.path = read_string(fields["path"], where + ".path");
    for (const std::string& name : read_strings(fields["inputs"], where + ".inputs")) {
      node.inputs.push_back(tensor_named(name, where + ".inputs"));
      require(is_there_[static_cast<std::size_t>(node.inputs.back())], where, ".inputs: tensor '",
              name, "' must be computed by an earlier node");
    }
    const std::string& output = read_string(fields["output"], where + ".output");
    node.output = tensor_named(output, where + ".output");
    require(!is_there_[static_cast<std::size_t>(node.output)], where, ".output: tensor '", output,
            "' must have no value yet, and has one");
    is_there_[static_cast<std::size_t>(node.output)] = true;
    const Json& attributes = fields["attributes"];
    require(attributes.is_object(), where, ".attributes must be an object");
    for (const auto& [key, entry] : attributes.items()) {
      node.attributes[key] = read_attribute(entry, where + ".attributes." + key);
    }
    const Json& constants = fields["constants"];
    require(constants.is_object(), where, ".constants must be an object");
    for (const auto& [key, entry] : constants.items()) {
      node.constants[key] = read_constant(entry, graph_.nodes.size(), key);
    }
    fields.finish();
    graph_.nodes.push_back(std::move(node));
  }

  int tensor_named(const std::string& name, const std::string& where) {
    const auto found = indices_.find(name);
    require(found != indices_.end(), where, ": tensor '", name, "' must be in graph.tensors");
    return found->second;
  }

  Fields fields_;
  Graph graph_;
  std::map<std::string, int> indices_;
  std::vector<bool> is_there_;  // of each tensor: whether it has a value by now
};

}  // namespace

Graph read_graph(const TensorFile& file) {
  const std::string& format = file.metadata("format");
  require(format == kFormat, "__metadata__.format must be '", kFormat, "', got '", format, "'");
  const std::string& version = file.metadata("version");
  require(version == kVersion, "__metadata__.version must be '", kVersion, "', got '", version,
          "'; a newer hybridquant wrote this file");
  for (const auto& [key, value] : file.metadata()) {
    require(key == "format" || key == "version" || key == "graph", "__metadata__: unknown key '",
            key, "'");
  }
  const Json root = parse_json(file.metadata("graph"), "__metadata__.graph");
  return GraphReader(root).read();
}

std::string node_title(const Graph& graph, std::size_t index) {
  const NodeInfo& node = graph.nodes[index];
  return text("node ", index, " (", node.op, node.path.empty() ? "" : ", module '", node.path,
              node.path.empty() ? ")" : "')");
}

}  // namespace hybridquant::runtime

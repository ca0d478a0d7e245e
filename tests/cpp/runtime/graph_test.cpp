// What a graph must be whatever its nodes are: one mistake a line.
#include "runtime/graph.h"

#include <gtest/gtest.h>

#include "runtime/model_testing.h"

namespace hybridquant::runtime {
namespace {

// image -> x; x + c -> y
GraphBuilder small() {
  GraphBuilder builder({1, 2, 2, 2});
  builder.add_value("c", {CodeType::kInt8, 0, 0, 50}, {2}, {5, 7});
  builder.add_tensor("x", all_codes(CodeType::kInt8), {1, 2, 2, 2});
  builder.add_node("requantize", {"image"}, "x", {{"m", 1 << 30}, {"shift", 31}});
  builder.add_tensor("y", all_codes(CodeType::kInt8, -1), {1, 2, 2, 2});
  builder.add_node("add", {"x", "c"}, "y", {{"m", {1 << 30, 1 << 30}}, {"shift", 30}});
  builder.graph()["classes"] = {"tench", "Z\xc3\xbcrich"};
  return builder;
}

TEST(Graph, IsReadWithAllItsFields) {
  const Bytes file = small().file();
  const Graph graph = read_graph(TensorFile(file));
  EXPECT_EQ(graph.producer, "a test");
  EXPECT_EQ(graph.input, 0);
  EXPECT_EQ(graph.output, 3);
  EXPECT_EQ(graph.classes, std::vector<std::string>({"tench", "Z\xc3\xbcrich"}));
  EXPECT_EQ(graph.preprocessing.interpolation, "bicubic");
  EXPECT_EQ(graph.preprocessing.crop_pct, 0.9);
  EXPECT_EQ(graph.preprocessing.crop_mode, "center");
  ASSERT_EQ(graph.tensors.size(), 4);
  const TensorInfo& c = graph.tensors[1];
  EXPECT_EQ(c.name, "c");
  EXPECT_EQ(c.shape, Shape({2}));
  EXPECT_EQ(c.type, CodeType::kInt8);
  EXPECT_EQ(c.scale, 0.5);
  EXPECT_EQ(std::vector({c.zero_point, c.lowest, c.highest}), Values({0, 0, 50}));
  EXPECT_EQ(c.value, "tensors.c");
  EXPECT_EQ(graph.tensors[2].value, "");
  ASSERT_EQ(graph.nodes.size(), 2);
  const NodeInfo& add = graph.nodes[1];
  EXPECT_EQ(add.op, "add");
  EXPECT_EQ(add.inputs, std::vector<int>({2, 1}));
  EXPECT_EQ(add.output, 3);
  EXPECT_EQ(add.path, "stem.add");
  EXPECT_EQ(std::get<std::int64_t>(add.attributes.at("shift")), 30);
  EXPECT_EQ(std::get<Values>(add.attributes.at("m")), Values({1 << 30, 1 << 30}));
  EXPECT_EQ(node_title(graph, 1), "node 1 (add, module 'stem.add')");
}

const WrongField kWrong[] = {
    {"/graph/author", "\"me\"", "graph: unknown key 'author'"},
    {"/graph/producer", nullptr, "graph: must have the key 'producer'"},
    {"/graph/producer", "3", "graph.producer must be a string, got number"},
    {"/graph", "[]", "graph must be an object, got array"},
    {"/graph/nodes", "{}", "graph.nodes must be a list of at most 100000"},
    {"/graph/tensors", "null", "graph.tensors must be a list of at most 100000"},
    {"/graph/input", "\"picture\"", "graph.input: tensor 'picture' must be in graph.tensors"},
    {"/graph/input", "\"c\"", "must be uint8 [1, channels, height, width], got int8 [2]"},
    {"/graph/tensors/0/shape/0", "2", "graph.input: tensor 'image' must be uint8 [1, channels,"},
    {"/graph/tensors/0/highest", "254", "graph.input: lowest and highest must be 0 and 255, got"},
    {"/graph/tensors/0/value", "\"tensors.image\"", "graph.input: must not be a constant"},
    {"/graph/output", "[\"y\"]", "graph.output must be a string, got array"},
    {"/graph/output", "\"logits\"", "graph.output: tensor 'logits' must be in graph.tensors"},
    {"/graph/output", "\"image\"", "graph.output: tensor 'image' must be computed by a node"},
    {"/graph/output", "\"c\"", "graph.output: tensor 'c' must be computed by a node"},
    {"/graph/classes", "\"tench\"", "graph.classes must be a list of strings, got string"},
    {"/graph/classes", "[1]", "graph.classes must be a string, got number"},
    {"/graph/classes", "[\"tench\"]", "graph.classes must hold no name or 2, one a logit, got 1"},
    {"/graph/preprocessing", "[]", "graph.preprocessing must be an object, got array"},
    {"/graph/preprocessing/mean", "[0.5]", "graph.preprocessing: unknown key 'mean'"},
    {"/graph/preprocessing/crop_pct", nullptr, "must have the key 'crop_pct'"},
    {"/graph/preprocessing/crop_pct", "\"1\"", "preprocessing.crop_pct must be a number, got st"},
    {"/graph/preprocessing/crop_pct", "1.1", "crop_pct must be above 0, at most 1, got 1.1"},
    {"/graph/preprocessing/crop_pct", "0", "crop_pct must be above 0, at most 1, got 0"},
    {"/graph/preprocessing/crop_mode", "\"centre\"", "must be border, center or squash, got 'ce"},
    {"/graph/preprocessing/interpolation", "\"cubic\"", "bilinear, box, hamming, lanczos or near"},
    {"/graph/tensors/1", "\"c\"", "tensors[1] must be an object, got string"},
    {"/graph/tensors/1/bits", "8", "tensors[1]: unknown key 'bits'"},
    {"/graph/tensors/1/value", nullptr, "tensors[1]: must have the key 'value'"},
    {"/graph/tensors/1/value", "\"\"", "tensor 'c': value must be 'tensors.c' or null, got ''"},
    {"/graph/tensors/1/value", "\"c\"", "tensor 'c': value must be 'tensors.c' or null, got 'c'"},
    {"/graph/tensors/1/value", "7", "tensor 'c': value must be a string, got number"},
    {"/graph/tensors/1/name", "\"\"", "tensors[1].name must not be empty"},
    {"/graph/tensors/2/name", "\"c\"", "tensor 'c': name must be unique, and is not"},
    {"/graph/tensors/1/name", "7", "tensors[1].name must be a string, got number"},
    {"/graph/tensors/2/shape", "8", "tensor 'x': shape must be a list of integers, got number"},
    {"/graph/tensors/2/shape", "[]", "tensor 'x': shape must have 1 to 6 axes, got []"},
    {"/graph/tensors/2/shape", "[1,1,1,1,1,1,1]", "tensor 'x': shape must have 1 to 6 axes, got"},
    {"/graph/tensors/2/shape", "[65536,32768]", "must have fewer than 2^31 elements, got [65536,"},
    {"/graph/tensors/2/shape/2", "0", "tensor 'x': shape must be 1 to 2147483647, got 0"},
    {"/graph/tensors/2/shape/2", "2.0", "tensor 'x': shape must be an integer, got number"},
    {"/graph/tensors/2/shape/2", "true", "tensor 'x': shape must be an integer, got boolean"},
    {"/graph/tensors/2/shape/2", "2147483648", "must be 1 to 2147483647, got 2147483648"},
    {"/graph/tensors/2/shape/2", "18446744073709551615", "got 18446744073709551615"},
    {"/graph/tensors/2/dtype", "\"uint16\"", "must be uint8, int8, int16, int32 or int64, got 'u"},
    {"/graph/tensors/2/dtype", "[]", "tensor 'x': dtype must be a string, got array"},
    {"/graph/tensors/2/scale", "0", "tensor 'x': scale must be above 0, got 0"},
    {"/graph/tensors/2/scale", "-1.5", "tensor 'x': scale must be above 0, got -1.5"},
    {"/graph/tensors/2/scale", "true", "tensor 'x': scale must be a number, got boolean"},
    {"/graph/tensors/2/lowest", "-129", "tensor 'x': lowest must be -128 to 127, got -129"},
    {"/graph/tensors/2/highest", "-129", "tensor 'x': highest must be -128 to 127, got -129"},
    {"/graph/tensors/1/highest", "-1", "tensor 'c': highest must be 0 to 127, got -1"},
    {"/graph/tensors/1/zero_point", "51", "tensor 'c': zero_point must be 0 to 50, got 51"},
    {"/graph/tensors/1/shape", "[1, 2]", "tensor 'c': value must be int8 [1, 2], got int8 [2]"},
    {"/graph/tensors/1/dtype", "\"int16\"", "tensor 'c': value must be int16 [2], got int8 [2]"},
    {"/graph/tensors/1/highest", "6", "tensor 'c': codes must be 0 to 6, got 7 at element 1"},
    {"/graph/tensors/1/value", "null", "nodes[1].inputs: tensor 'c' must be computed by an earl"},
    {"/graph/tensors/-",
     R"({"name":"z","shape":[1],"dtype":"int8","scale":1,"zero_point":0,"lowest":0,"highest":0,)"
     R"("value":null})",
     "tensor 'z': must have a value or a node that computes it"},
    {"/graph/nodes/1", "[]", "nodes[1] must be an object, got array"},
    {"/graph/nodes/1/name", "\"a\"", "nodes[1]: unknown key 'name'"},
    {"/graph/nodes/1/path", nullptr, "nodes[1]: must have the key 'path'"},
    {"/graph/nodes/1/path", "null", "nodes[1].path must be a string, got null"},
    {"/graph/nodes/1/op", "1", "nodes[1].op must be a string, got number"},
    {"/graph/nodes/1/inputs", "\"x\"", "nodes[1].inputs must be a list of strings, got string"},
    {"/graph/nodes/1/inputs/0", "\"a\"", "nodes[1].inputs: tensor 'a' must be in graph.tensors"},
    {"/graph/nodes/0/inputs/0", "\"y\"", "nodes[0].inputs: tensor 'y' must be computed by an ear"},
    {"/graph/nodes/0/inputs/0", "\"x\"", "nodes[0].inputs: tensor 'x' must be computed by an ear"},
    {"/graph/nodes/1/output", "\"x\"", "nodes[1].output: tensor 'x' must have no value yet, and"},
    {"/graph/nodes/1/output", "\"c\"", "nodes[1].output: tensor 'c' must have no value yet, and"},
    {"/graph/nodes/1/output", "\"image\"", "nodes[1].output: tensor 'image' must have no value"},
    {"/graph/nodes/1/attributes", "[]", "nodes[1].attributes must be an object"},
    {"/graph/nodes/1/attributes/m", "null", "nodes[1].attributes.m must be an integer, got null"},
    {"/graph/nodes/1/attributes/m", "1.5", "nodes[1].attributes.m must be an integer, got number"},
    {"/graph/nodes/1/attributes/m", "[[1]]", "nodes[1].attributes.m must be an integer, got arr"},
    {"/graph/nodes/1/attributes/m", "[9223372036854775808]", "got 9223372036854775808"},
    {"/graph/nodes/1/constants", "3", "nodes[1].constants must be an object"},
    {"/graph/nodes/1/constants/a", "\"a\"", "nodes[1].constants.a must be 'nodes.1.a', got 'a'"},
    {"/graph/nodes/1/constants/a", "3", "nodes[1].constants.a must be an object, got number"},
    {"/graph/nodes/1/constants/a", R"({"key":"nodes.1.a","bits":4,"shape":[1]})",
     "nodes[1].constants.a must be a key, as only a weight has 4 bits"},
    {"/graph/nodes/1/constants/weight", R"({"key":"a","bits":4,"shape":[1]})",
     "nodes[1].constants.weight.key must be 'nodes.1.weight', got 'a'"},
    {"/graph/nodes/1/constants/weight", R"({"key":"nodes.1.weight","bits":2,"shape":[1]})",
     "nodes[1].constants.weight.bits must be 4 to 4, got 2"},
    {"/graph/nodes/1/constants/weight", R"({"key":"nodes.1.weight","bits":4,"shape":[0]})",
     "nodes[1].constants.weight.shape must be 1 to 2147483647, got 0"},
    {"/graph/nodes/1/constants/weight", R"({"key":"nodes.1.weight","bits":4,"shape":[1],"a":1})",
     "nodes[1].constants.weight: unknown key 'a'"},
    {"/arrays/tensors.z", R"({"type":"int8","shape":[1],"values":[0]})",
     "tensor 'tensors.z' must belong to a node or tensor of the graph"},
    {"/arrays/tensors.c", nullptr, "tensor 'c': tensor 'tensors.c' must be in the file, and is"},
};

const char* const kChannels = R"({"axis":1,"scales":[0.25,0.5],"zero_points":[-4,3]})";

TEST(Graph, ReadsTheScalesOfChannels) {
  Json document = small().document();
  document["graph"]["tensors"][2]["channels"] = Json::parse(kChannels);
  document["graph"]["tensors"][2]["zero_point"] = -1;  // (-4 + 3) / 2, rounded down
  const Bytes file = model_file(document);
  const Graph graph = read_graph(TensorFile(file));
  ASSERT_TRUE(graph.tensors[2].channels.has_value());
  const ChannelInfo& channels = *graph.tensors[2].channels;
  EXPECT_EQ(channels.axis, 1);
  EXPECT_EQ(channels.scales, std::vector<double>({0.25, 0.5}));
  EXPECT_EQ(channels.zero_points, Values({-4, 3}));
  EXPECT_FALSE(graph.tensors[1].channels.has_value());
}

const WrongField kWrongChannels[] = {
    {"/channels", "3", "channels must be an object, got number"},
    {"/channels/bits", "8", "tensor 'x': channels: unknown key 'bits'"},
    {"/channels/axis", nullptr, "tensor 'x': channels: must have the key 'axis'"},
    {"/channels/axis", "4", "tensor 'x': channels.axis must be 0 to 3, got 4"},
    {"/channels/axis", "0", "scales and zero_points must have 1 numbers, one a channel, got 2"},
    {"/channels/scales", "0.5", "tensor 'x': channels.scales must be a list"},
    {"/channels/scales", "[]", "must have 2 numbers, one a channel, got 0 and 2"},
    {"/channels/scales", "[0.5, 0]", "tensor 'x': channels.scales must be above 0, got 0"},
    {"/channels/scales", "[0.5, \"a\"]", "tensor 'x': channels.scales must be a number, got str"},
    {"/channels/scales", "[0.5, 0.75]", "the tensor's scale must be the largest, 0.75"},
    {"/channels/zero_points", "[1]", "must have 2 numbers, one a channel, got 2 and 1"},
    {"/channels/zero_points", "[1, 128]", "channels.zero_points must be -128 to 127, got 128"},
    {"/channels/zero_points", "[8, 9]", "and its zero_point in the middle, 8, got 0.5 and -1"},
};

TEST(Graph, NamesWhatIsWrongWithChannels) {
  Json document = small().document();
  document["graph"]["tensors"][2]["channels"] = Json::parse(kChannels);
  document["graph"]["tensors"][2]["zero_point"] = -1;
  ASSERT_EQ(error_of(model_file(document)), "nothing");
  for (const WrongField& wrong : kWrongChannels) {
    const std::string path = std::string("/graph/tensors/2") + wrong.path;
    const std::string error =
        error_of(model_file(changed(document, {path.c_str(), wrong.value, ""})));
    EXPECT_NE(error.find(wrong.error), std::string::npos)
        << wrong.path << ": expected " << wrong.error << ", got " << error;
  }
  for (const int ends : {0, 3}) {
    Json changed_ends = small().document();
    Json& tensor = changed_ends["graph"]["tensors"][static_cast<std::size_t>(ends)];
    tensor["channels"] = {{"axis", 1}, {"scales", {0.5, 0.5}}};
    tensor["channels"]["zero_points"] = {tensor["zero_point"], tensor["zero_point"]};
    tensor["scale"] = 0.5;
    EXPECT_NE(error_of(model_file(changed_ends)).find("must have one scale, and no channels"),
              std::string::npos);
  }
}

TEST(Graph, NamesWhatIsWrong) {
  const Json document = small().document();
  ASSERT_EQ(error_of(model_file(document)), "nothing");
  for (const WrongField& wrong : kWrong) {
    const std::string error = error_of(model_file(changed(document, wrong)));
    EXPECT_NE(error.find(wrong.error), std::string::npos)
        << wrong.path << " " << (wrong.value == nullptr ? "deleted" : wrong.value) << ": expected "
        << wrong.error << ", got " << error;
  }
}

// The file with another text in the place of its graph.
std::string error_with(const std::string& graph, const std::string& format = "hybridquant-integer",
                       const std::string& version = "1", const Json& more = Json::object()) {
  Json metadata = {{"format", format}, {"version", version}, {"graph", graph}};
  metadata.update(more);
  return error_of(container(Json({{"__metadata__", metadata}}).dump()));
}

TEST(Graph, NamesWhatIsWrongAroundIt) {
  EXPECT_EQ(error_with("{}", "gguf"),
            "__metadata__.format must be 'hybridquant-integer', got 'gguf'");
  EXPECT_EQ(error_with("{}", "hybridquant-integer", "2"),
            "__metadata__.version must be '1', got '2'; a newer hybridquant wrote this file");
  EXPECT_EQ(error_with("{}", "hybridquant-integer", "1", {{"author", "me"}}),
            "__metadata__: unknown key 'author'");
  EXPECT_EQ(error_of(container("{}")),
            "model file: __metadata__ must have 'format'; this safetensors file is no integer "
            "model");
  EXPECT_NE(error_with("{").find("__metadata__.graph: must be JSON, got: "), std::string::npos);
  EXPECT_NE(error_with("{\"nodes\":[],\"nodes\":[]}").find("must have each key once, got 'nodes'"),
            std::string::npos);
  EXPECT_NE(error_with(std::string(100'000, '[')).find("must be nested at most 16 deep"),
            std::string::npos);
  EXPECT_NE(error_with("{\"a\":1e999}").find("must be JSON, got: "), std::string::npos);
}

TEST(Graph, HasAtMostAHundredThousandTensors) {
  Json document = small().document();
  for (int i = 0; i < 100'000; ++i) document["graph"]["tensors"].push_back(nullptr);
  EXPECT_EQ(error_of(model_file(document)), "graph.tensors must be a list of at most 100000");
}

}  // namespace
}  // namespace hybridquant::runtime

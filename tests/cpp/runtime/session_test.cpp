#include "runtime/session.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "runtime/node_cases.h"

namespace hybridquant::runtime {
namespace {

using Images = std::vector<std::uint8_t>;
using Logits = std::vector<std::int32_t>;

class Random {
 public:
  explicit Random(std::uint32_t seed) : generator_(seed) {}

  Values numbers(std::int64_t count, std::int64_t lowest, std::int64_t highest) {
    Values values(static_cast<std::size_t>(count));
    std::uniform_int_distribution<std::int64_t> any(lowest, highest);
    for (std::int64_t& value : values) value = any(generator_);
    return values;
  }

  Images images(std::int64_t bytes) {
    const Values values = numbers(bytes, 0, 255);
    return {values.begin(), values.end()};
  }

 private:
  std::mt19937 generator_;
};

Arrays product(Random& random, const Shape& weight, std::int64_t shift) {
  const auto outputs = static_cast<std::size_t>(weight[0]);
  return {{"weight", {CodeType::kInt8, weight, random.numbers(num_elements(weight), -128, 127)}},
          {"bias", int32s(random.numbers(weight[0], -9999, 9999))},
          {"m", int32s(Values(outputs, kOne))},
          {"shift", int32s(Values(outputs, shift))}};
}

// Convolutions, a residual sum of tokens, attention, and a classifier of 10: with steps that are
// large enough for several threads, that write over their inputs, and that copy.
Model mixed_model() {
  Random random(5);
  GraphBuilder builder({1, 3, 24, 24});
  const CodeRange codes = all_codes(CodeType::kInt8);
  const Shape image = {1, 16, 12, 12};
  const Shape rows = {1, 144, 16};
  const Json window = {
      {"stride", {2, 2}}, {"padding", {1, 1}}, {"dilation", {1, 1}}, {"groups", 1}};
  builder.add_tensor("conv", codes, image);
  builder.add_node("conv2d", {"image"}, "conv", window, product(random, {16, 3, 3, 3}, 39));
  builder.add_tensor("act", codes, image);
  builder.add_node("table", {"conv"}, "act", Json::object(),
                   {{"table", {CodeType::kInt8, {256}, random.numbers(256, -128, 127)}}});
  builder.add_tensor("flat", codes, {1, 16, 144});
  builder.add_node("reshape", {"act"}, "flat", {{"shape", {1, 16, 144}}});
  builder.add_tensor("tokens", codes, rows);
  builder.add_node("permute", {"flat"}, "tokens", {{"axes", {0, 2, 1}}});
  builder.add_tensor("linear", codes, rows);
  builder.add_node("linear", {"tokens"}, "linear", Json::object(), product(random, {16, 16}, 38));
  builder.add_tensor("keys", codes, {1, 16, 144});
  builder.add_node("permute", {"linear"}, "keys", {{"axes", {0, 2, 1}}});
  builder.add_tensor("scores", codes, {1, 144, 144});
  builder.add_node("matmul", {"tokens", "keys"}, "scores", {{"m", kOne}, {"shift", 40}});
  builder.add_tensor("shares", all_codes(CodeType::kUInt8), {1, 144, 144});
  builder.add_node("softmax", {"scores"}, "shares", {{"form", "table"}, {"m", 255 << 8}},
                   {{"table", int32s({65536, 40000, 20000, 10000, 1000})}});
  builder.add_tensor("mixed", codes, rows);
  builder.add_node("matmul", {"shares", "linear"}, "mixed", {{"m", kOne}, {"shift", 38}});
  builder.add_tensor("sum", codes, rows);
  builder.add_node("add", {"tokens", "mixed"}, "sum", {{"m", {kOne, kOne}}, {"shift", 30}});
  builder.add_tensor("half", codes, rows);
  builder.add_node("requantize", {"sum"}, "half", {{"m", kOne}, {"shift", 31}});
  builder.add_tensor("features", codes, {1, 2304});
  builder.add_node("reshape", {"half"}, "features", {{"shape", {1, 2304}}});
  builder.add_tensor("logits", all_codes(CodeType::kInt32), {1, 10});
  builder.add_node("linear", {"features"}, "logits", Json::object(),
                   product(random, {10, 2304}, 33));
  return builder.model();
}

Logits logits_of(Session& session, const Model& model, const Images& images) {
  const auto count = static_cast<std::int64_t>(images.size()) / model.image_bytes();
  Logits logits(static_cast<std::size_t>(count * model.num_logits()));
  session.run(logits.data(), images.data(), count);
  return logits;
}

TEST(Session, GivesTheSameLogitsWithAnyNumberOfThreads) {
  const Model model = mixed_model();
  const Images images = Random(1).images(3 * model.image_bytes());
  Session alone(model);
  const Logits wanted = logits_of(alone, model, images);
  EXPECT_NE(Logits(wanted.begin(), wanted.begin() + 10),
            Logits(wanted.begin() + 10, wanted.begin() + 20));
  for (std::int64_t threads = 1; threads <= 4; ++threads) {
    Session session(model, threads);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(logits_of(session, model, images), wanted) << threads;
  }
}

TEST(Session, ComputesEachImageOnItsOwn) {
  const Model model = mixed_model();
  const Images images = Random(2).images(3 * model.image_bytes());
  Session session(model, 2);
  const Logits all = logits_of(session, model, images);
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto first = images.begin() + i * model.image_bytes();
    const Logits one = logits_of(session, model, {first, first + model.image_bytes()});
    EXPECT_EQ(one, Logits(all.begin() + 10 * i, all.begin() + 10 * (i + 1)));
  }
  EXPECT_EQ(logits_of(session, model, {}), Logits());
}

TEST(Session, SharesAModelWithOthers) {
  const Model model = mixed_model();
  const Images images = Random(3).images(2 * model.image_bytes());
  Session first(model);
  const Logits wanted = logits_of(first, model, images);
  std::vector<Logits> found(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      Session session(model, 1 + static_cast<std::int64_t>(i % 2));
      for (int k = 0; k < 3; ++k) found[i] = logits_of(session, model, images);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Logits& logits : found) EXPECT_EQ(logits, wanted);
}

TEST(Session, TakesCallsFromManyThreads) {
  const Model model = mixed_model();
  Session session(model, 2);
  std::vector<Images> images;
  std::vector<Logits> wanted;
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    images.push_back(Random(seed).images(model.image_bytes()));
    wanted.push_back(logits_of(session, model, images.back()));
  }
  std::vector<Logits> found(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 5; ++k) found[i] = logits_of(session, model, images[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, wanted);
}

// Runs the tasks of a step last to first, and counts them.
class Backwards final : public Executor {
 public:
  [[nodiscard]] std::int64_t num_workers() const override { return 7; }
  void run(std::int64_t count, const Task& task) override {
    EXPECT_LE(count, 7);
    for (std::int64_t i = count; i-- > 0;) task(i);
    most = std::max(most, count);
  }
  std::int64_t most = 0;
};

TEST(Session, GivesTheSameLogitsWithTheCallersExecutor) {
  const Model model = mixed_model();
  const Images images = Random(4).images(2 * model.image_bytes());
  Session alone(model);
  Backwards executor;
  Session session(model, executor);
  EXPECT_EQ(logits_of(session, model, images), logits_of(alone, model, images));
  EXPECT_EQ(executor.most, 7);
  EXPECT_EQ(session.memory_bytes() - alone.memory_bytes(),
            6 * (alone.memory_bytes() - model.program().arena_bytes));
}

TEST(Session, TracesEveryNode) {
  const Model model = mixed_model();
  const Images image = Random(6).images(model.image_bytes());
  Session session(model);
  std::vector<std::size_t> nodes;
  Logits last;
  session.trace(image.data(), [&](std::size_t node, const TensorInfo& tensor,
                                  std::span<const std::byte> codes) {
    nodes.push_back(node);
    const Graph& graph = model.graph();
    EXPECT_EQ(tensor.name, graph.tensors[static_cast<std::size_t>(graph.nodes[node].output)].name);
    const Values values = values_of(codes, tensor.type);
    EXPECT_EQ(static_cast<std::int64_t>(values.size()), num_elements(tensor.shape));
    last.assign(values.begin(), values.end());
  });
  std::vector<std::size_t> wanted(model.graph().nodes.size());
  std::iota(wanted.begin(), wanted.end(), std::size_t{0});
  EXPECT_EQ(nodes, wanted);
  EXPECT_EQ(last, logits_of(session, model, image));
}

TEST(Session, TracesTheSameCodesWithThreads) {
  const Model model = mixed_model();
  const Images image = Random(7).images(model.image_bytes());
  Session one(model);
  Session four(model, 4);
  EXPECT_EQ(traced(one, image), traced(four, image));
}

// What is only looked at, as other sizes, is not written over before.
TEST(Session, TracesViewsThatNothingReads) {
  GraphBuilder builder({1, 1, 2, 2});
  const CodeRange codes = all_codes(CodeType::kUInt8);
  builder.add_tensor("a", codes, {1, 1, 2, 2});
  builder.add_node("requantize", {"image"}, "a", {{"m", kOne}, {"shift", 30}});
  builder.add_tensor("b", codes, {1, 1, 2, 2});
  builder.add_node("requantize", {"a"}, "b", {{"m", kOne}, {"shift", 31}});
  builder.add_tensor("view", codes, {4});
  builder.add_node("reshape", {"a"}, "view", {{"shape", {4}}});
  builder.add_tensor("logits", codes, {1, 1, 2, 2});
  builder.add_node("requantize", {"b"}, "logits", {{"m", kOne}, {"shift", 31}});
  const Model model = builder.model();
  Session session(model);
  const auto found = traced(session, {8, 16, 24, 32});
  EXPECT_EQ(found.at("view"), Values({8, 16, 24, 32}));
  EXPECT_EQ(found.at("b"), Values({4, 8, 12, 16}));
  EXPECT_EQ(found.at("logits"), Values({2, 4, 6, 8}));
}

TEST(Session, KeepsWhatIsReadAgain) {
  GraphBuilder builder({1, 1, 1, 3});
  const CodeRange codes = all_codes(CodeType::kUInt8);
  const Json half = {{"m", kOne}, {"shift", 31}};
  const Json sum = {{"m", {kOne, kOne}}, {"shift", 30}};
  for (const char* name : {"a", "b", "c", "d"}) builder.add_tensor(name, codes, {1, 1, 1, 3});
  builder.add_node("requantize", {"image"}, "a", half);
  builder.add_node("requantize", {"a"}, "b", half);
  builder.add_node("add", {"a", "b"}, "c", sum);
  builder.add_node("add", {"c", "c"}, "d", sum);
  const Model model = builder.model();
  Session session(model);
  EXPECT_EQ(logits_of(session, model, {8, 16, 24}), Logits({12, 24, 36}));
}

TEST(Session, AddsATensorToItselfTurned) {
  GraphBuilder builder({1, 1, 2, 2});
  const CodeRange codes = all_codes(CodeType::kUInt8);
  for (const char* name : {"a", "turned", "sum"}) builder.add_tensor(name, codes, {1, 1, 2, 2});
  builder.add_node("requantize", {"image"}, "a", {{"m", kOne}, {"shift", 30}});
  builder.add_node("permute", {"a"}, "turned", {{"axes", {0, 1, 3, 2}}});
  builder.add_node("add", {"a", "turned"}, "sum", {{"m", {kOne, kOne}}, {"shift", 30}});
  const Model model = builder.model();
  Session session(model);
  EXPECT_EQ(logits_of(session, model, {1, 2, 3, 4}), Logits({2, 5, 5, 8}));
}

TEST(Session, WidensCodesOfEveryType) {
  for (const CodeType type :
       {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32}) {
    GraphBuilder builder({1, 1, 1, 2});
    builder.add_tensor("y", all_codes(type), {1, 1, 1, 2});
    builder.add_node("requantize", {"image"}, "y", {{"m", kOne}, {"shift", 30}});
    const Model model = builder.model();
    EXPECT_EQ(model.num_logits(), 2);
    EXPECT_EQ(model.image_shape(), Shape({1, 1, 2}));
    Session session(model);
    EXPECT_EQ(logits_of(session, model, {3, 100}), Logits({3, 100}));
  }
}

TEST(Session, RefusesWrongNumbersOfThreads) {
  const Model model = mixed_model();
  EXPECT_THROW(Session(model, 0), ModelError);
  EXPECT_THROW(Session(model, -3), ModelError);
  EXPECT_THROW(Session(model, 1 << 20), ModelError);
}

TEST(Model, SaysWhichFileIsWrong) {
  EXPECT_THROW(Model::load("no/such/file"), ModelError);
  try {
    Model::load("/dev/null");
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_STREQ(error.what(), "/dev/null: model file: must be at least 8 bytes long, got 0");
  }
}

}  // namespace
}  // namespace hybridquant::runtime

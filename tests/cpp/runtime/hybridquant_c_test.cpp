#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/hybridquant.h"

namespace {

// A model whose logits are the bytes of its image, [3, 1, 2].
constexpr std::string_view kGraph = R"({
  "producer": "the test", "input": "image", "output": "logits",
  "classes": ["a", "b", "c", "d", "e", "f"],
  "preprocessing": {"interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "squash"},
  "tensors": [
    {"name": "image", "shape": [1, 3, 1, 2], "dtype": "uint8", "scale": 0.5, "zero_point": 7,
     "lowest": 0, "highest": 255, "value": null},
    {"name": "logits", "shape": [1, 6], "dtype": "uint8", "scale": 0.5, "zero_point": 7,
     "lowest": 0, "highest": 255, "value": null}],
  "nodes": [{"op": "reshape", "inputs": ["image"], "output": "logits", "path": "",
             "attributes": {"shape": [1, 6]}, "constants": {}}]})";

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char letter : text) {
    if (letter == '"') result += '\\';
    result += letter == '\n' ? ' ' : letter;
  }
  return result + "\"";
}

std::string model_file() {
  std::string header = R"({"__metadata__":{"format":"hybridquant-integer","version":"1","graph":)" +
                       quoted(kGraph) + "}}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file + header;
}

class CApi : public testing::Test {
 protected:
  CApi() {
    const std::string file = model_file();
    model_ = hybridquant_model_parse(file.data(), file.size());
  }
  ~CApi() override { hybridquant_model_free(model_); }

  void SetUp() override { ASSERT_NE(model_, nullptr) << hybridquant_last_error(); }

  hybridquant_model* model_;
};

TEST_F(CApi, SaysWhatAModelTakesAndGives) {
  std::array<std::int64_t, 3> shape{};
  hybridquant_image_shape(model_, shape.data());
  EXPECT_EQ(shape, (std::array<std::int64_t, 3>{3, 1, 2}));
  EXPECT_EQ(hybridquant_num_logits(model_), 6);
  EXPECT_EQ(hybridquant_logit_scale(model_), 0.5);
  EXPECT_EQ(hybridquant_logit_zero_point(model_), 7);
  ASSERT_EQ(hybridquant_num_classes(model_), 6);
  EXPECT_STREQ(hybridquant_class_name(model_, 5), "f");
  EXPECT_EQ(hybridquant_class_name(model_, 6), nullptr);
  EXPECT_EQ(hybridquant_class_name(model_, -1), nullptr);
  EXPECT_EQ(hybridquant_api_version(), HYBRIDQUANT_API_VERSION);
}

TEST_F(CApi, RunsABatchAfterItsModelIsFreed) {
  hybridquant_session* const session = hybridquant_session_new(model_, 2);
  ASSERT_NE(session, nullptr);
  hybridquant_model_free(model_);
  model_ = nullptr;
  std::array<std::uint8_t, 18> images{};
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(14 * i);
  std::array<std::int32_t, 18> logits{};
  EXPECT_EQ(hybridquant_run(session, logits.data(), images.data(), 3), 0);
  EXPECT_TRUE(std::equal(logits.begin(), logits.end(), images.begin()));
  hybridquant_session_free(session);
}

TEST_F(CApi, MakesImagesOfPhotographs) {
  const std::array<std::uint8_t, 6> pixels = {1, 2, 3, 11, 12, 13};
  std::array<std::uint8_t, 6> image{};
  ASSERT_EQ(hybridquant_preprocess(model_, image.data(), pixels.data(), 1, 2), 0);
  EXPECT_EQ(image, (std::array<std::uint8_t, 6>{1, 11, 2, 12, 3, 13}));
  EXPECT_EQ(hybridquant_preprocess(model_, image.data(), pixels.data(), 1, 0), -1);
}

TEST_F(CApi, KeepsTheErrorOfEachThread) {
  EXPECT_EQ(hybridquant_session_new(model_, 0), nullptr);
  EXPECT_EQ(std::string(hybridquant_last_error()).find("hybridquant_session_new: num_threads"), 0U);
  std::thread([] { EXPECT_STREQ(hybridquant_last_error(), ""); }).join();
}

// Every shorter file is refused.
TEST_F(CApi, RefusesDamagedFiles) {
  const std::string file = model_file();
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A copy of this size, so that reading beyond it is seen.
    const std::vector<char> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(hybridquant_model_parse(cut.data(), cut.size()), nullptr) << size;
    EXPECT_STRNE(hybridquant_last_error(), "");
  }
}

}  // namespace

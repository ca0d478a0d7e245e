// Runs a TorchScript file as a C++ program without Python would: LibTorch, and the ops library
// loaded. make_torchscript_fixture.py writes the folder that HYBRIDQUANT_TORCHSCRIPT_FIXTURE names.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::string fixture_path(const std::string& file) {
  const char* const folder = std::getenv("HYBRIDQUANT_TORCHSCRIPT_FIXTURE");
  if (folder == nullptr) {
    throw std::runtime_error(
        "HYBRIDQUANT_TORCHSCRIPT_FIXTURE must name the folder that make_torchscript_fixture.py "
        "wrote");
  }
  return std::string(folder) + "/" + file;
}

// A tensor, saved as the buffer `value` of a TorchScript module.
torch::Tensor load_tensor(const std::string& file) {
  return torch::jit::load(fixture_path(file)).attr("value").toTensor();
}

// The parameter is the number of threads: torch's own convolutions may depend on it in the last
// bit, so Python's result for the same number is expected.
class TorchScript : public testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() {
    const void* const library = dlopen(HYBRIDQUANT_OPS_LIBRARY, RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
  }

  void SetUp() override { at::set_num_threads(GetParam()); }
};

TEST_P(TorchScript, EqualsPythonBitForBit) {
  torch::jit::Module model = torch::jit::load(fixture_path("model.pt"));
  const torch::InferenceMode guard;
  // The file was traced at batch 2.
  for (const std::string batch : {"2", "5"}) {
    const torch::Tensor input = load_tensor("input_batch" + batch + ".pt");
    const torch::Tensor expected =
        load_tensor("expected_batch" + batch + "_threads" + std::to_string(GetParam()) + ".pt");
    const torch::Tensor output = model.forward({input}).toTensor();
    ASSERT_EQ(output.sizes(), expected.sizes());
    EXPECT_TRUE(torch::equal(output, expected))
        << "batch " << input.size(0) << ": largest difference "
        << (output - expected).abs().max().item<double>();
  }
}

// In integers no number of threads changes a bit.
TEST_P(TorchScript, AnIntegerModelEqualsTheEngine) {
  torch::jit::Module model = torch::jit::load(fixture_path("integer.pt"));
  const torch::InferenceMode guard;
  for (const std::string batch : {"2", "5"}) {
    const torch::Tensor output =
        model.forward({load_tensor("bytes_batch" + batch + ".pt")}).toTensor();
    EXPECT_TRUE(torch::equal(output, load_tensor("integer_batch" + batch + ".pt"))) << batch;
  }
}

TEST_P(TorchScript, AnIntegerModelTakesBytes) {
  torch::jit::Module model = torch::jit::load(fixture_path("integer.pt"));
  try {
    model.forward({load_tensor("bytes_batch2.pt").to(torch::kFloat32)});
    FAIL() << "float images were accepted";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("x must be uint8"), std::string::npos) << error.what();
  }
}

TEST_P(TorchScript, TheOpsSayWhatIsWrong) {
  const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("hybridquant::fake_quant_affine", "");
  torch::jit::Stack stack = {torch::zeros(3), torch::full(1, NAN), torch::zeros(1), 0, 0, 255, 1.0};
  try {
    op.callBoxed(stack);
    FAIL() << "a NaN scale was accepted";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("calibrate first"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, TorchScript, testing::Values(1, 2),
                         testing::PrintToStringParamName());

}  // namespace

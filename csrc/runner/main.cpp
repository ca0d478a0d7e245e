// hybridquant-run: an integer model on photographs, from the command line.
#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "runner/options.h"
#include "runner/report.h"
#include "runtime/build_info.h"
#include "runtime/error.h"
#include "runtime/image_file.h"
#include "runtime/model.h"
#include "runtime/model_image.h"
#include "runtime/session.h"

namespace hybridquant::runner {

namespace {

using runtime::ModelError;
using runtime::require;
using Bytes = std::vector<std::uint8_t>;

enum ExitCode { kDone = 0, kBadImage = 1, kBadArguments = 2, kBadModel = 3 };

void complain(const std::string& sentence) {
  std::cerr << "hybridquant-run: error: " << sentence << "\n";
}

Bytes read_raw(const std::string& path, const runtime::Shape& shape) {
  std::error_code error;
  require(std::filesystem::is_regular_file(path, error), path, ": must be a file");
  const auto wanted = static_cast<std::uintmax_t>(runtime::num_elements(shape));
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  require(!error && size == wanted, path, ": must hold ", shape[0], " x ", shape[1], " x ",
          shape[2], " bytes, got ", size);
  Bytes bytes(wanted);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  require(file.good(), path, ": cannot be read");
  return bytes;
}

// The most memory that this process had, as Linux counts it; none where there is no Linux.
std::optional<std::int64_t> peak_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kibibytes = 0;
  while (status >> word) {
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

class Runner {
 public:
  explicit Runner(const Options& options)
      : options_(options),
        model_(runtime::Model::load(options.model)),
        session_(model_, options.num_threads) {
    if (!options.is_raw && !options.images.empty()) check_photographs();
    if (options.shows_info) std::cout << info_text(options, model_, session_);
  }

  // Throws where the image cannot be used.
  void run(const std::string& path) {
    const Bytes image = options_.is_raw ? read_raw(path, model_.image_shape())
                                        : runtime::image_of(model_, runtime::read_photograph(path));
    Result result{.image = path, .codes = {}, .milliseconds = {}};
    result.codes.resize(static_cast<std::size_t>(model_.num_logits()));
    session_.run(result.codes.data(), image.data(), /*count=*/1);
    result.milliseconds = time(image);
    std::cout << result_text(options_, model_, result);
  }

 private:
  void check_photographs() const {
    try {
      runtime::check_takes_photographs(model_);
    } catch (const ModelError& error) {
      runtime::fail(options_.model,
                    ": must take photographs, which are not supported here: ", error.what(),
                    "; prepare the images elsewhere and give their bytes with --raw");
    }
  }

  std::vector<double> time(const Bytes& image) {
    std::vector<double> milliseconds;
    std::vector<std::int32_t> codes(static_cast<std::size_t>(model_.num_logits()));
    for (std::int64_t i = 0; i < options_.num_timed_runs; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      session_.run(codes.data(), image.data(), /*count=*/1);
      const std::chrono::duration<double, std::milli> spent =
          std::chrono::steady_clock::now() - begin;
      milliseconds.push_back(spent.count());
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    return milliseconds;
  }

  const Options& options_;
  runtime::Model model_;
  runtime::Session session_;
};

ExitCode run_images(Runner& runner, const Options& options) {
  ExitCode code = kDone;
  for (const std::string& path : options.images) {
    try {
      runner.run(path);
    } catch (const std::bad_alloc&) {
      complain(path + ": must fit into memory");
      code = kBadImage;
    } catch (const std::exception& error) {
      complain(error.what());
      code = kBadImage;
    }
  }
  return code;
}

ExitCode run(const Options& options) {
  std::optional<Runner> runner;
  try {
    runner.emplace(options);
  } catch (const std::bad_alloc&) {
    complain(options.model + ": must fit into memory");
    return kBadModel;
  } catch (const std::exception& error) {
    complain(error.what());
    return kBadModel;
  }
  return run_images(*runner, options);
}

ExitCode print_memory(const Options& options) {
  if (const std::optional<std::int64_t> bytes = peak_bytes()) {
    std::cout << memory_text(options, *bytes);
    return kDone;
  }
  complain("--memory must find VmHWM in /proc/self/status, and does not");
  return kBadArguments;
}

int main(std::span<char*> arguments) {
  Options options;
  try {
    options = parse_options(arguments);
  } catch (const UsageError& error) {
    complain(std::string(error.what()) + "; see hybridquant-run --help");
    return kBadArguments;
  }
  if (options.shows_help) std::cout << kHelp;
  if (options.shows_version) {
    const runtime::BuildInfo info = runtime::build_info();
    std::cout << "hybridquant-run " << info.version << " (" << info.isa << ")\n";
  }
  const bool is_done = options.shows_help || options.shows_version;
  ExitCode code = is_done ? kDone : run(options);
  if (options.shows_memory) code = std::max(code, print_memory(options));
  if (std::cout.flush()) return code;
  complain("standard output must take the results, and does not");
  return std::max(code, kBadImage);
}

}  // namespace

}  // namespace hybridquant::runner

int main(int argc, char** argv) {
  const std::span<char*> all(argv, static_cast<std::size_t>(argc));
  return hybridquant::runner::main(all.empty() ? all : all.subspan(1));
}

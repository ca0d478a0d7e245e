// What hybridquant-run prints.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runner/options.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace hybridquant::runner {

struct Result {
  std::string image;
  std::vector<std::int32_t> codes;   // [num_logits]
  std::vector<double> milliseconds;  // of the timed runs, sorted
};

// Each returns lines that end with a line break: one line of JSON if options.is_json.
std::string info_text(const Options& options, const runtime::Model& model,
                      const runtime::Session& session);
std::string result_text(const Options& options, const runtime::Model& model, const Result& result);
std::string memory_text(const Options& options, std::int64_t peak_bytes);

}  // namespace hybridquant::runner

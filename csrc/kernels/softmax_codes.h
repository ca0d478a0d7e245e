// Softmax over rows of codes. docs/arithmetic.md is the rule.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

// Published integer exponentials that a table can hold instead of rounded ones.
enum class SoftmaxForm : std::uint8_t {
  kLinear,      // HyQ, doi 10.24963/ijcai.2024/474
  kPolynomial,  // I-BERT, arXiv:2101.01321
  kShift,       // I-ViT, arXiv:2207.01405
};

struct SoftmaxFormula {
  SoftmaxForm form;
  std::int32_t octaves;  // 1 to 30; further down the exponential stays as it is
  std::int64_t x0;       // codes that halve the exponential, 1 to 2^24
  std::int64_t b;        // kLinear, kPolynomial: x0 <= b < 2^26
  std::int64_t c;        // kPolynomial: x0 * b <= c < 2^52
};

// The exponential of a code that is `distance` below the largest, 0 to 65535, times a constant.
// The largest, of distance 0, must be below 2^62.
std::uint64_t softmax_exponential(const SoftmaxFormula& formula, std::int64_t distance);

// Fills a table with the exponentials of the distances 0 to size - 1.
void prepare_softmax_table(std::uint64_t* table, std::int64_t size, const SoftmaxFormula& formula);

// Either table or wide_table, the other is null. E = table[max of the row - q] is the exponential
// of a code, beyond the table its last entry. S is the sum of E over a row.
struct SoftmaxArgs {
  // Outputs
  void* p;  // [rows, n] of p_type; p == q is allowed where types and strides are the same
  // Inputs
  const void* q;                    // [rows, n] of q_type
  const std::uint32_t* table;       // [table_size], table[0] > 0, S < 2^32 for every row
  const std::uint64_t* wide_table;  // [table_size], wide_table[0] > 0, S < 2^53, E m < 2^61
  CodeType p_type;                  // uint8, int8 or int16
  CodeType q_type;                  // uint8, int8 or int16
  std::int64_t table_size;          // at least 1
  std::int64_t n;                   // at least 1
  std::int64_t p_stride;            // elements from a row to the next
  std::int64_t q_stride;
  bool is_log2;    // p = -log2 of the quotient instead of the quotient; zero-point 0, highest <= 62
  std::int32_t m;  // rint(2^8 / scale of p), 1 to 2^24 - 1; not for is_log2
  OutputCodes codes;  // rounding kSingle
};

// Does the rows [begin, end).
void softmax_codes(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end);
void softmax_codes_ref(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels

#include "kernels/kernel_table.h"

#include <cassert>

namespace hybridquant::kernels {

namespace baseline {
extern const KernelTable kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
#endif

const KernelTable& kernels_for(Isa isa) {
  assert(is_available(isa));
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return avx2::kTable;
  if (isa == Isa::kAvx512) return avx512::kTable;
#endif
  static_cast<void>(isa);
  return baseline::kTable;
}

const KernelTable& active_kernels() {
  static const KernelTable& table = kernels_for(chosen_isa());
  return table;
}

void fake_quant_affine(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().fake_quant_affine(args, begin, end);
}

void fake_quant_affine_grad_x(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().fake_quant_affine_grad_x(args, begin, end);
}

void fake_quant_affine_grad(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().fake_quant_affine_grad(args, begin, end);
}

void fake_quant_levels(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().fake_quant_levels(args, begin, end);
}

void fake_quant_levels_grad_x(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                              std::int64_t end) {
  active_kernels().fake_quant_levels_grad_x(args, begin, end);
}

void fake_quant_levels_grad(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                            std::int64_t end) {
  active_kernels().fake_quant_levels_grad(args, begin, end);
}

void quantize_affine(const QuantizeArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().quantize_affine(args, begin, end);
}

void dequantize_affine(const DequantizeArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().dequantize_affine(args, begin, end);
}

void map_codes(const MapCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().map_codes(args, begin, end);
}

void add_codes(const AddCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().add_codes(args, begin, end);
}

void softmax_codes(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().softmax_codes(args, begin, end);
}

void normalize_codes(const NormalizeArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().normalize_codes(args, begin, end);
}

void mul_codes(const MulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().mul_codes(args, begin, end);
}

void div_codes(const DivCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().div_codes(args, begin, end);
}

void requantize_codes(const RequantizeCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().requantize_codes(args, begin, end);
}

void move_codes(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().move_codes(args, begin, end);
}

void conv2d(const Conv2dArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().conv2d(args, begin, end);
}

void matmul_codes(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().matmul_codes(args, begin, end);
}

void reduce_codes(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().reduce_codes(args, begin, end);
}

void pool2d(const Pool2dArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().pool2d(args, begin, end);
}

void resize_bilinear(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end) {
  active_kernels().resize_bilinear(args, begin, end);
}

}  // namespace hybridquant::kernels

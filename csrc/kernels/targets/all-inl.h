// Everything that is compiled once per instruction set. No include guard: each target defines
// HQ_TARGET (its namespace) and HQ_VECTOR_BYTES (its register width) and includes this once.
// Only code inside that namespace may be defined here: a shared inline function compiled with a
// target's flags could be the copy that the linker keeps for everyone.
#include <type_traits>

#include "kernels/float16.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels::HQ_TARGET {

// clang-format off: each file uses the names of those before it
#include "kernels/simd-inl.h"
#include "kernels/affine-inl.h"
#include "kernels/fake_quant_affine-inl.h"
#include "kernels/fake_quant_levels-inl.h"
#include "kernels/quantize_affine-inl.h"
#include "kernels/dequantize_affine-inl.h"
#include "kernels/runs-inl.h"
#include "kernels/map_codes-inl.h"
#include "kernels/add_codes-inl.h"
#include "kernels/results-inl.h"
#include "kernels/softmax_codes-inl.h"
#include "kernels/normalize_codes-inl.h"
#include "kernels/mul_codes-inl.h"
#include "kernels/div_codes-inl.h"
#include "kernels/requantize_codes-inl.h"
#include "kernels/move_codes-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/conv2d-inl.h"
#include "kernels/matmul_codes-inl.h"
#include "kernels/reduce_codes-inl.h"
#include "kernels/pool2d-inl.h"
#include "kernels/resize_bilinear-inl.h"
// clang-format on

extern const KernelTable kTable;
const KernelTable kTable = {
    .fake_quant_affine = fake_quant_affine,
    .fake_quant_affine_grad_x = fake_quant_affine_grad_x,
    .fake_quant_affine_grad = fake_quant_affine_grad,
    .fake_quant_levels = fake_quant_levels,
    .fake_quant_levels_grad_x = fake_quant_levels_grad_x,
    .fake_quant_levels_grad = fake_quant_levels_grad,
    .quantize_affine = quantize_affine,
    .dequantize_affine = dequantize_affine,
    .map_codes = map_codes,
    .add_codes = add_codes,
    .softmax_codes = softmax_codes,
    .normalize_codes = normalize_codes,
    .mul_codes = mul_codes,
    .div_codes = div_codes,
    .requantize_codes = requantize_codes,
    .move_codes = move_codes,
    .conv2d = conv2d,
    .matmul_codes = matmul_codes,
    .reduce_codes = reduce_codes,
    .pool2d = pool2d,
    .resize_bilinear = resize_bilinear,
};

}  // namespace hybridquant::kernels::HQ_TARGET

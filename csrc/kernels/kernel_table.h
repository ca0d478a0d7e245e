// The kernels of one instruction set. Each targets/*.cpp fills one table; callers use
// active_kernels().
#pragma once

#include <cstdint>

#include "kernels/add_codes.h"
#include "kernels/conv2d.h"
#include "kernels/cpu_features.h"
#include "kernels/dequantize_affine.h"
#include "kernels/div_codes.h"
#include "kernels/fake_quant_affine.h"
#include "kernels/fake_quant_levels.h"
#include "kernels/map_codes.h"
#include "kernels/matmul_codes.h"
#include "kernels/move_codes.h"
#include "kernels/mul_codes.h"
#include "kernels/normalize_codes.h"
#include "kernels/pool2d.h"
#include "kernels/quantize_affine.h"
#include "kernels/reduce_codes.h"
#include "kernels/requantize_codes.h"
#include "kernels/resize_bilinear.h"
#include "kernels/softmax_codes.h"

namespace hybridquant::kernels {

template <typename Args>
using BlockKernel = void (*)(const Args& args, std::int64_t begin, std::int64_t end);

struct KernelTable {
  BlockKernel<FakeQuantArgs> fake_quant_affine;
  BlockKernel<FakeQuantGradArgs> fake_quant_affine_grad_x;
  BlockKernel<FakeQuantGradArgs> fake_quant_affine_grad;
  BlockKernel<FakeQuantLevelsArgs> fake_quant_levels;
  BlockKernel<FakeQuantLevelsGradArgs> fake_quant_levels_grad_x;
  BlockKernel<FakeQuantLevelsGradArgs> fake_quant_levels_grad;
  BlockKernel<QuantizeArgs> quantize_affine;
  BlockKernel<DequantizeArgs> dequantize_affine;
  BlockKernel<MapCodesArgs> map_codes;
  BlockKernel<AddCodesArgs> add_codes;
  BlockKernel<SoftmaxArgs> softmax_codes;
  BlockKernel<NormalizeArgs> normalize_codes;
  BlockKernel<MulCodesArgs> mul_codes;
  BlockKernel<DivCodesArgs> div_codes;
  BlockKernel<RequantizeCodesArgs> requantize_codes;
  BlockKernel<MoveCodesArgs> move_codes;
  BlockKernel<Conv2dArgs> conv2d;
  BlockKernel<MatmulCodesArgs> matmul_codes;
  BlockKernel<ReduceCodesArgs> reduce_codes;
  BlockKernel<Pool2dArgs> pool2d;
  BlockKernel<ResizeBilinearArgs> resize_bilinear;
};

// The kernels compiled for `isa`, which must be available.
const KernelTable& kernels_for(Isa isa);

// The kernels of chosen_isa().
const KernelTable& active_kernels();

}  // namespace hybridquant::kernels

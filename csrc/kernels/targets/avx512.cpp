#define HQ_TARGET avx512
#define HQ_VECTOR_BYTES 64
#include "kernels/targets/all-inl.h"

#define HQ_TARGET avx2
#define HQ_VECTOR_BYTES 32
#include "kernels/targets/all-inl.h"

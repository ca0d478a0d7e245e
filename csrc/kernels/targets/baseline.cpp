#define HQ_TARGET baseline
#define HQ_VECTOR_BYTES 16
#include "kernels/targets/all-inl.h"

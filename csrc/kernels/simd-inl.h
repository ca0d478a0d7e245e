// Vectors of one register's width, in the compiler's vector extension: the same source gives the
// same bits on every target. Included inside a target's namespace; see targets/all-inl.h.

inline constexpr std::int64_t kWidth = HQ_VECTOR_BYTES / 4;

using F32 [[gnu::vector_size(HQ_VECTOR_BYTES)]] = float;
using I32 [[gnu::vector_size(HQ_VECTOR_BYTES)]] = std::int32_t;
using U32 [[gnu::vector_size(HQ_VECTOR_BYTES)]] = std::uint32_t;
using I16 [[gnu::vector_size(HQ_VECTOR_BYTES / 2)]] = std::int16_t;
using U16 [[gnu::vector_size(HQ_VECTOR_BYTES / 2)]] = std::uint16_t;
using I8 [[gnu::vector_size(HQ_VECTOR_BYTES / 4)]] = std::int8_t;
using U8 [[gnu::vector_size(HQ_VECTOR_BYTES / 4)]] = std::uint8_t;

static inline F32 broadcast(float x) { return F32{} + x; }

// A NaN in x stays a NaN in both: the comparison is false and x is returned.
static inline F32 at_least(F32 x, F32 low) { return low > x ? low : x; }
static inline F32 at_most(F32 x, F32 high) { return high < x ? high : x; }

// Nearest integer, ties to even, for |x| <= 2^22; never -0. Adding 1.5 * 2^23 leaves no fraction
// bits.
static inline F32 round_to_int(F32 x) {
  const F32 magic = broadcast(0x1.8p23F);
  return (x + magic) - magic;
}

template <typename Vector, typename T>
static inline Vector load_bits(const T* source) {
  Vector v;
  __builtin_memcpy(&v, source, sizeof(v));
  return v;
}

static inline F32 load(const float* x) { return load_bits<F32>(x); }

static inline F32 load(const BFloat16* x) {
  return (F32)(__builtin_convertvector(load_bits<U16>(x), U32) << 16);
}

static inline F32 load(const Float16* x) {
  const U32 bits = __builtin_convertvector(load_bits<U16>(x), U32);
  const U32 magnitude = (bits & 0x7FFFU) << 13;
  const U32 exponent = magnitude & 0x0F800000U;
  const U32 normal = magnitude + (112U << 23);
  const U32 infinite = magnitude + (224U << 23);
  const U32 subnormal = (U32)((F32)(magnitude + (113U << 23)) - 0x1p-14F);
  U32 result = exponent == 0x0F800000U ? infinite : normal;
  result = exponent == 0U ? subnormal : result;
  return (F32)(result | ((bits & 0x8000U) << 16));
}

static inline F32 load(const std::uint8_t* q) {
  return __builtin_convertvector(__builtin_convertvector(load_bits<U8>(q), I32), F32);
}
static inline F32 load(const std::int8_t* q) {
  return __builtin_convertvector(__builtin_convertvector(load_bits<I8>(q), I32), F32);
}
static inline F32 load(const std::int16_t* q) {
  return __builtin_convertvector(__builtin_convertvector(load_bits<I16>(q), I32), F32);
}
static inline F32 load(const std::int32_t* q) {
  return __builtin_convertvector(load_bits<I32>(q), F32);
}

template <typename Vector, typename T>
static inline void store_bits(T* target, Vector v) {
  __builtin_memcpy(target, &v, sizeof(v));
}

static inline void store(float* y, F32 v) { store_bits(y, v); }

static inline void store(BFloat16* y, F32 v) {
  const U32 bits = (U32)v;
  const U32 rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const U32 quiet = (bits >> 16) | 0x40U;
  store_bits(y, __builtin_convertvector(v != v ? quiet : rounded, U16));
}

// See from_float<Float16> in float16.h for the cases.
static inline void store(Float16* y, F32 v) {
  const U32 bits = (U32)v;
  const U32 magnitude = bits & 0x7FFFFFFFU;
  const U32 normal = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
  const U32 subnormal = (U32)((F32)magnitude + 0.5F) - 0x3F000000U;
  U32 half = magnitude < 0x38800000U ? subnormal : normal;
  half = magnitude >= 0x47800000U ? U32{} + 0x7C00U : half;
  half = magnitude > 0x7F800000U ? U32{} + 0x7E00U : half;
  store_bits(y, __builtin_convertvector(half | ((bits >> 16) & 0x8000U), U16));
}

// Codes are integers that fit the type.
static inline void store(std::uint8_t* q, F32 v) {
  store_bits(q, __builtin_convertvector(__builtin_convertvector(v, I32), U8));
}
static inline void store(std::int8_t* q, F32 v) {
  store_bits(q, __builtin_convertvector(__builtin_convertvector(v, I32), I8));
}
static inline void store(std::int16_t* q, F32 v) {
  store_bits(q, __builtin_convertvector(__builtin_convertvector(v, I32), I16));
}
static inline void store(std::int32_t* q, F32 v) { store_bits(q, __builtin_convertvector(v, I32)); }

// The first `count` <= kWidth elements; the other lanes are zero.
template <typename T>
static inline F32 load(const T* x, std::int64_t count) {
  if (count >= kWidth) return load(x);
  T padded[kWidth] = {};
  __builtin_memcpy(padded, x, static_cast<std::size_t>(count) * sizeof(T));
  return load(padded);
}

template <typename T>
static inline void store(T* y, F32 v, std::int64_t count) {
  if (count >= kWidth) return store(y, v);
  T padded[kWidth];
  store(padded, v);
  __builtin_memcpy(y, padded, static_cast<std::size_t>(count) * sizeof(T));
}

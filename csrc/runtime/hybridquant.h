// Integer models (docs/format.md) from C and whatever calls C; docs/embedding.md has a program.
//
// No call throws or prints. Every pointer that a call takes must be valid, unless it says
// otherwise. Calls on different objects may run at once; models never change, so any thread may use
// them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HYBRIDQUANT_API __attribute__((visibility("default")))
#else
#define HYBRIDQUANT_API
#endif

// Of this header. It goes up where something that is here changes its meaning; what is only added
// leaves it as it is.
#define HYBRIDQUANT_API_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hybridquant_model hybridquant_model;
typedef struct hybridquant_session hybridquant_session;

// HYBRIDQUANT_API_VERSION of the library that runs.
HYBRIDQUANT_API int32_t hybridquant_api_version(void);
// Version of hybridquant that the library was built from, as "0.1.0".
HYBRIDQUANT_API const char* hybridquant_version(void);

// Why the latest call of this thread that failed did so: one sentence, valid until another fails;
// empty where none did.
HYBRIDQUANT_API const char* hybridquant_last_error(void);

// Reads a model file, or its bytes, which are not needed after the call. Everything in it is
// checked. Returns NULL on failure.
HYBRIDQUANT_API hybridquant_model* hybridquant_model_load(const char* path);
HYBRIDQUANT_API hybridquant_model* hybridquant_model_parse(const void* file, size_t size);
// Sessions of the model live on. NULL is allowed.
HYBRIDQUANT_API void hybridquant_model_free(hybridquant_model* model);

// Sizes of an image: channels, height and width. An image has as many bytes as their product.
HYBRIDQUANT_API void hybridquant_image_shape(const hybridquant_model* model, int64_t shape[3]);
// Number of logits of an image. A logit is scale * (code - zero_point).
HYBRIDQUANT_API int64_t hybridquant_num_logits(const hybridquant_model* model);
HYBRIDQUANT_API double hybridquant_logit_scale(const hybridquant_model* model);
HYBRIDQUANT_API int64_t hybridquant_logit_zero_point(const hybridquant_model* model);
// Number of class names, which may be 0. They belong to the logits' last axis.
HYBRIDQUANT_API int64_t hybridquant_num_classes(const hybridquant_model* model);
// A name in UTF-8, valid until the model is freed; NULL where index is not 0 to num_classes - 1.
HYBRIDQUANT_API const char* hybridquant_class_name(const hybridquant_model* model, int64_t index);

// Makes an image of a photograph as the model wants it: resized, and the middle cut out.
// image: uint8 [3, height, width] of the model. pixels: uint8 [height, width, 3], red first; height
// and width are 1 to 2^31 - 1.
// Returns 0, or -1 on failure, as for a model whose preprocessing is not supported.
HYBRIDQUANT_API int hybridquant_preprocess(const hybridquant_model* model, uint8_t* image,
                                           const uint8_t* pixels, int64_t height, int64_t width);

// Takes the memory of a run. num_threads is 1 to 1024; it changes no result.
// Returns NULL on failure.
HYBRIDQUANT_API hybridquant_session* hybridquant_session_new(const hybridquant_model* model,
                                                             int64_t num_threads);
// NULL is allowed.
HYBRIDQUANT_API void hybridquant_session_free(hybridquant_session* session);
// Bytes that the session holds, besides the model's.
HYBRIDQUANT_API int64_t hybridquant_session_memory(const hybridquant_session* session);

// Computes the logits of `count` images, each on its own. Calls of one session wait for each other.
// logits: int32 codes [count, num_logits]. images: uint8 [count, channels, height, width], red
// first. Returns 0, or -1 on failure.
HYBRIDQUANT_API int hybridquant_run(hybridquant_session* session, int32_t* logits,
                                    const uint8_t* images, int64_t count);

#ifdef __cplusplus
}
#endif

#include "runtime/model_image.h"

#include "runtime/error.h"

namespace hybridquant::runtime {

void check_takes_photographs(const Model& model) {
  // Whatever is supported, is for the smallest photograph.
  image_of(model, {.height = 1, .width = 1, .pixels = {0, 0, 0}});
}

std::vector<std::uint8_t> image_of(const Model& model, const Photograph& photograph) {
  const Shape shape = model.image_shape();
  require(shape[0] == 3, "image_of: images of the model must have 3 channels, got ", shape[0]);
  const PreprocessingInfo& info = model.graph().preprocessing;
  return preprocess(photograph, {.interpolation = info.interpolation,
                                 .crop_pct = info.crop_pct,
                                 .crop_mode = info.crop_mode,
                                 .height = shape[1],
                                 .width = shape[2]});
}

}  // namespace hybridquant::runtime

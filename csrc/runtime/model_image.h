// From photographs to images of a model.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/image.h"
#include "runtime/model.h"

namespace hybridquant::runtime {

// Throws ModelError, which says what is not supported, where no photograph can become an image of
// the model: for its number of channels, or for the preprocessing that its file asks for.
void check_takes_photographs(const Model& model);

// Returns the image, [3, height, width], as the model's file says. Throws ModelError as above.
std::vector<std::uint8_t> image_of(const Model& model, const Photograph& photograph);

}  // namespace hybridquant::runtime

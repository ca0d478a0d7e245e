// Reads photographs from JPEG and PNG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/image.h"

namespace hybridquant::runtime {

// Largest number of pixels of a file: above it Pillow takes a file for an attack.
inline constexpr std::int64_t kMostPixels = 178'956'970;

// Returns the photograph of a JPEG or PNG file, which are told apart by their first bytes.
//
// It is what Pillow's Image.open(path).convert("RGB") gives: gray and palettes become RGB, alpha
// and transparent colors are dropped, CMYK is taken for Adobe's inverted one, of 16 bits in color
// the higher 8 count and of gray the levels above 255 become 255; orientation, gamma and colour
// profiles are passed over. A damaged JPEG file is taken where libjpeg decodes all of it with
// warnings, as Pillow does, but what stands for the damage may differ. A PNG file is refused where
// a checksum is wrong, or where the palette, rows or the end are missing, some of which Pillow
// takes.
//
// Throws ModelError, which names the file, where it cannot be read, is of another format,
// damaged, larger than kMostPixels, or of more than memory holds.
Photograph read_photograph(const std::string& path);

// The same of a file's content; `name` is for errors.
Photograph decode_photograph(std::span<const std::byte> file, const std::string& name);

}  // namespace hybridquant::runtime

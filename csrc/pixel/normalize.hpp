// A byte as the network wants it.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// (byte - mean) / std; the division is a multiplication by the rounded reciprocal, so within 2 ulp of it.
template <class F>
SEGRT_PIXEL F normalize(F byte, float mean, float inverse_std) {
    return (byte - mean) * inverse_std;
}

/// The byte that stands for the mean, around a letterboxed frame.
SEGRT_PIXEL std::uint8_t nearest_byte(float value) {
    return static_cast<std::uint8_t>(nearest(value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value));
}

}  // namespace segrt::pixel

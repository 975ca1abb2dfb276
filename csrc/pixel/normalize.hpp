// A byte as the network wants it.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// (byte - mean) / std; the division is a multiplication by the rounded reciprocal, so within 2 ulp of it.
template <class F>
SEGRT_PIXEL F normalize(F byte, float mean, float inverse_std) {
    return (byte - mean) * inverse_std;
}

}  // namespace segrt::pixel

// IEEE half precision in plain arithmetic, bit for bit what F16C and the GPU do (but for the bits inside a NaN).
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

SEGRT_PIXEL float from_half(std::uint16_t half) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
#else
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t rest = static_cast<std::uint32_t>(half & 0x7FFFu) << 13;
    if (rest >= 0x7C00u << 13) return bits<float>(sign | 0x7F800000u | rest);  // infinity and NaN
    // Read as a float the exponent is 112 too small; multiplying corrects it, and subnormals with it.
    const float magnitude = bits<float>(rest) * 5192296858534827628530496329220096.0f;  // 2^112
    return bits<float>(bits<std::uint32_t>(magnitude) | sign);
#endif
}

/// Round to nearest, ties to even; too large becomes infinity.
SEGRT_PIXEL std::uint16_t to_half(float value) {
#ifdef __CUDA_ARCH__
    std::uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
#else
    const std::uint32_t all = bits<std::uint32_t>(value);
    const std::uint16_t sign = static_cast<std::uint16_t>((all >> 16) & 0x8000u);
    const std::uint32_t rest = all & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
    if (rest >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // 65520 and above
    if (rest < 0x38800000u) {  // below 2^-14, the result is subnormal: let the float adder round at 2^-24
        return static_cast<std::uint16_t>(sign | (bits<std::uint32_t>(bits<float>(rest) + 0.5f) - 0x3F000000u));
    }
    const std::uint32_t rounded = rest + 0x0FFFu + ((rest >> 13) & 1u);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
#endif
}

}  // namespace segrt::pixel

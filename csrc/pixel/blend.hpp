// Mixing two bytes in 16-bit fixed point: the arithmetic of resampling and of the overlay.
//
// Values are Q7 (byte * 128, at most 32640), shares are Q15 (0..32767 for 0..1). One multiplication with rounding, the
// one that SSSE3 calls pmulhrsw and NEON sqrdmulh. Each mix is within 1/256 byte of the exact value plus 1/128 for the
// share; equal values, a share of 0, and a share of 32767 between whole bytes come out exact.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

constexpr int kWhole = 32767;  // the share that stands for 1

SEGRT_PIXEL std::int16_t to_q7(std::uint8_t byte) { return static_cast<std::int16_t>(byte << 7); }

/// from + (to - from) * share
SEGRT_PIXEL std::int16_t blend(std::int16_t from, std::int16_t to, std::int16_t share) {
    const std::int32_t step = (static_cast<std::int32_t>(to - from) * share + 0x4000) >> 15;
    return static_cast<std::int16_t>(from + step);
}

/// Q7 to the nearest byte; halves go up.
SEGRT_PIXEL std::uint8_t to_byte(std::int16_t q7) { return static_cast<std::uint8_t>((q7 + 64) >> 7); }

/// A class's colour in Q7 and how much of it shows. Zeros change nothing.
struct Tint {
    std::int16_t colour[3], share;
};

/// `alpha` is 0..1.
SEGRT_PIXEL Tint tint_of(const std::uint8_t* colour, float alpha) {
    const std::int16_t share = static_cast<std::int16_t>(nearest(alpha * kWhole));
    return {{to_q7(colour[0]), to_q7(colour[1]), to_q7(colour[2])}, share};
}

}  // namespace segrt::pixel

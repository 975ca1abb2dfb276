// What cameras and decoders give, as bytes of blue, green and red.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// YUV to RGB in Q13, the most that lets 16-bit multiplications do. Chroma is centred at 128; `offset` is black's luma
/// (16 in limited range). The rounded coefficients cost up to 1/40 of a level.
struct Yuv {
    std::int16_t offset, luma, red_v, green_u, green_v, blue_u;
};

constexpr std::int32_t kYuvHalf = 1 << 12;

/// Coefficients for BT.601 or BT.709, from the standards' Kr and Kb.
SEGRT_PIXEL Yuv yuv(bool bt709, bool full_range) {
    const double kr = bt709 ? 0.2126 : 0.299, kb = bt709 ? 0.0722 : 0.114, kg = 1 - kr - kb;
    const double luma = full_range ? 1.0 : 255.0 / 219.0, chroma = full_range ? 1.0 : 255.0 / 224.0;
    const double one = 8192.0;
    return {static_cast<std::int16_t>(full_range ? 0 : 16),
            static_cast<std::int16_t>(luma * one + 0.5),
            static_cast<std::int16_t>(2 * (1 - kr) * chroma * one + 0.5),
            static_cast<std::int16_t>(-2 * (1 - kb) * kb / kg * chroma * one - 0.5),
            static_cast<std::int16_t>(-2 * (1 - kr) * kr / kg * chroma * one - 0.5),
            static_cast<std::int16_t>(2 * (1 - kb) * chroma * one + 0.5)};
}

SEGRT_PIXEL std::uint8_t clamp_byte(std::int32_t q13) {
    const std::int32_t value = q13 >> 13;
    return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

SEGRT_PIXEL void yuv_to_bgr(std::uint8_t y, std::uint8_t u, std::uint8_t v, const Yuv& k, std::uint8_t* bgr) {
    const std::int32_t luma = (y - k.offset) * k.luma + kYuvHalf;
    const std::int32_t du = u - 128, dv = v - 128;
    bgr[0] = clamp_byte(luma + k.blue_u * du);
    bgr[1] = clamp_byte(luma + k.green_u * du + k.green_v * dv);
    bgr[2] = clamp_byte(luma + k.red_v * dv);
}

/// 16-bit grey to a byte: value * 255 / white to the nearest, in float32; `scale` is 255 / white.
SEGRT_PIXEL std::uint8_t gray16_to_byte(std::uint16_t value, float scale) {
    const float scaled = static_cast<float>(value) * scale + 0.5f;
    return static_cast<std::uint8_t>(static_cast<std::int32_t>(scaled < 255.0f ? scaled : 255.0f));
}

}  // namespace segrt::pixel

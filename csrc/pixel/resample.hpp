// Where the centre of an output pixel falls among the source pixels (half-pixel centres, clamped to the edge).
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// The source pixel at or before the sample, and the share (Q15) of the next one; `share` is 0 at the edges.
struct ByteTap {
    std::int32_t index;
    std::int16_t share;
};

/// Output pixel `i` of `target` sampled from `source` pixels: (i + 0.5) * source / target - 0.5, in exact integers.
/// Sides of up to 32768 just fit 32 bits, whose division a GPU does in a third of the time.
SEGRT_PIXEL ByteTap byte_tap(std::int32_t i, std::int32_t source, std::int32_t target) {
    const std::int32_t scaled = (2 * i + 1) * source - target;  // the position times 2 * target; < 2^31
    if (scaled <= 0) return {0, 0};
    const std::uint32_t whole = 2 * static_cast<std::uint32_t>(target);
    const std::uint32_t index = static_cast<std::uint32_t>(scaled) / whole;
    if (index >= static_cast<std::uint32_t>(source - 1)) return {source - 1, 0};
    const std::uint32_t rest = static_cast<std::uint32_t>(scaled) - index * whole;  // < 2^16
    const std::uint32_t share = (rest * 32768u + static_cast<std::uint32_t>(target)) / whole;
    return {static_cast<std::int32_t>(index), static_cast<std::int16_t>(share > 32767u ? 32767u : share)};
}

/// The logit at or before the sample, and the weights of it and of the next one.
struct FloatTap {
    std::int32_t index;
    float here;
    float next;
};

/// The frame's pixel `i` of `source` among `count` logits: through the placement into the network's input, then to the
/// logits' scale. ((i + 0.5) * target / source + from) * count / input - 0.5 as a fraction of whole numbers (< 2^48):
/// exact on every device, and without float64, of which most GPUs have little.
SEGRT_PIXEL FloatTap float_tap(std::int32_t i, std::int32_t source, std::int32_t from, std::int32_t target,
                               std::int32_t input, std::int32_t count) {
    const std::int64_t whole = 2 * static_cast<std::int64_t>(source) * input;
    const std::int64_t in_input =
        (2 * static_cast<std::int64_t>(i) + 1) * target + 2 * static_cast<std::int64_t>(source) * from;
    const std::int64_t position = in_input * count - static_cast<std::int64_t>(source) * input;  // times `whole`
    if (position <= 0) return {0, 1.0f, 0.0f};
    const std::int64_t index = position / whole;
    if (index >= count - 1) return {count - 1, 1.0f, 0.0f};
    const float next = static_cast<float>(position - index * whole) / static_cast<float>(whole);
    return {static_cast<std::int32_t>(index), 1.0f - next, next};
}

}  // namespace segrt::pixel

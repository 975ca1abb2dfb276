// From the logits of a pixel to its class and to how sure the network is.
//
// Templates over F serve one pixel (float) and a SIMD vector of them alike; U is the unsigned integer of the same
// shape. Only +, -, *, / and comparisons are used, never contracted to fused operations: every CPU gives the same bits.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// Between two logits. The two weights (rather than a + t * (b - a)) keep finite logits finite.
template <class F, class W>
SEGRT_PIXEL F between(F a, F b, W weight_a, W weight_b) {
    return a * weight_a + b * weight_b;
}

/// The class of a pixel (or of a vector of them) so far, and its logit.
template <class F, class I>
struct Winner {
    F value;
    I id;
};

/// Let a class compete; returns the logit that lost. The winner's own exponential is 1 and need not be computed.
template <class F, class I>
SEGRT_PIXEL F take(Winner<F, I>& winner, F value, I id) {
    const auto larger = value > winner.value;  // not larger-or-equal: the lower class wins a tie
    const F loser = larger ? winner.value : value;
    winner.value = larger ? value : winner.value;
    winner.id = larger ? id : winner.id;
    return loser;
}

/// e^x for x <= 0 with a relative error below 7e-6; below 2^-125 (and for NaN) it stays at about 2^-125.
template <class F, class U>
SEGRT_PIXEL F exp_nonpositive(F x) {
    const F lowest = F{} - 125.0f;
    F power = x * 1.44269504f;  // e^x = 2^power
    power = lowest < power ? power : lowest;
    const F shifted = power + 12582912.0f;           // 1.5 * 2^23: the sum's last bits are the nearest whole number
    const F part = power - (shifted - 12582912.0f);  // -0.5..0.5
    // 2^part by a polynomial fitted for the least relative error (2.9e-6), its value at 0 held at 1. The two halves are
    // summed apart (Estrin): shorter chains of dependent operations are a fifth faster than Horner's one.
    const F square = part * part;
    const F low = part * 0.693124175f + 1.0f;
    const F high = square * 0.00958285201f + (part * 0.0559064262f + 0.240240991f);
    const F series = high * square + low;
    return bits<F>(bits<U>(series) + (bits<U>(shifted) << 23));
}

/// The probability of the winning class where each class decides for itself.
template <class F, class U>
SEGRT_PIXEL F sigmoid(F x) {
    const F small = exp_nonpositive<F, U>(x < 0.0f ? x : -x);
    return (x < 0.0f ? small : F{} + 1.0f) / (small + 1.0f);
}

/// Probabilities are added up as whole 65536ths: a sum that does not depend on the order or the number of threads.
constexpr float kProbabilityOne = 65536.0f;

/// The comparison turns the NaN of non-finite logits into 0.
SEGRT_PIXEL std::uint32_t in_65536ths(float probability) {
    return probability > 0.0f ? static_cast<std::uint32_t>(probability * kProbabilityOne + 0.5f) : 0u;
}

/// The mean of such probabilities over the pixels that were looked at.
SEGRT_PIXEL double mean_probability(std::uint64_t sum, std::int32_t width, std::int32_t height) {
    return static_cast<double>(sum) / 65536.0 / width / height;
}

SEGRT_PIXEL bool is_finite(float value) { return (bits<std::uint32_t>(value) & 0x7F800000u) != 0x7F800000u; }

}  // namespace segrt::pixel

// From the logits of a cell now, and what the frames before left, to logits that flicker less.
//
// Noise moves logits a little, back and forth; what moves in the picture moves them far and for good. So the past
// weighs most where now and before agree, less the further they are apart, and nothing from kLeap on: an edge that
// passes is not smeared. Only differences between the classes of a cell count: adding one number to all its logits
// changes no class, and no weight. Templates over F as in classify.hpp, and the same bits everywhere for its reason.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// The most that the frames before weigh. Chosen with kLeap on two panning clips (bench/steady.py): 0.8 is a little
/// steadier and costs IoU where the pan is fast, 0.7 leaves more flicker.
constexpr float kPast = 0.75f;

/// In nats: that change of log-odds between two classes which is believed at once. The noise of a still picture moves
/// them by about a tenth of it.
constexpr float kLeap = 2.0f;

/// A cut: at least one cell in so many has leapt. Fast pans of two clips reached 0.13 of the cells, cuts began at 0.28.
constexpr std::int64_t kCut = 5;

/// How far the classes of a cell moved apart, so far: the range of before - now over the classes.
template <class F>
struct Spread {
    F least, most;
};

template <class F>
SEGRT_PIXEL void cover(Spread<F>& spread, F moved) {
    spread.least = moved < spread.least ? moved : spread.least;
    spread.most = moved > spread.most ? moved : spread.most;
}

/// One logit of a cell whose classes moved `apart` nats. Beyond kLeap the differences may overflow, and are not used:
/// finite logits stay finite.
template <class F>
SEGRT_PIXEL F steadied(F now, F before, F apart) {
    const F weight = kPast - apart * (kPast / kLeap);
    const F mixed = now + weight * (before - now);
    return apart < kLeap ? mixed : now;
}

/// Whether a frame continues the ones before. With one class there is nothing that could flicker.
SEGRT_PIXEL bool continues(bool known, int classes, std::int64_t nonfinite, std::int64_t leaps, std::int64_t seen) {
    return known && classes > 1 && nonfinite == 0 && leaps * kCut < seen;
}

}  // namespace segrt::pixel

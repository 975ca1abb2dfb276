// Row loops of steady; compiled once per instruction set. No templates of the standard library here (see pixel.hpp).
#include "pixel/steady.hpp"

#include "cpu/rows.hpp"
#include "cpu/simd.hpp"

namespace segrt::SEGRT_ISA {
namespace {

using simd::Floats;
using simd::Ints;
using simd::kLanes;

// How far the classes of the cells from `x` on moved apart; F is one cell or a vector of them.
template <class F>
SEGRT_PIXEL F apart(const SteadyRow& row, int x) {
    const F first = simd::load<F>(row.state + x) - simd::load<F>(row.now + x);
    pixel::Spread<F> spread = {first, first};
    for (int c = 1; c < row.classes; ++c) {
        pixel::cover(spread, simd::load<F>(row.state + c * row.state_plane + x) -
                                 simd::load<F>(row.now + c * row.now_plane + x));
    }
    return spread.most - spread.least;
}

template <class F>
SEGRT_PIXEL void settle_at(const SteadyRow& row, int x) {
    const F moved = apart<F>(row, x);
    for (int c = 0; c < row.classes; ++c) {
        float* const state = row.state + c * row.state_plane + x;
        const F now = simd::load<F>(row.now + c * row.now_plane + x);
        simd::store(state, pixel::steadied(now, simd::load<F>(state), moved));
    }
}

std::int64_t leaps(const SteadyRow& asked) {
    const SteadyRow row = asked;  // of our own: nothing that is written can alias it
    Ints calm = {};
    int x = 0;
    for (; x + kLanes <= row.count; x += kLanes) calm -= apart<Floats>(row, x) < pixel::kLeap;
    std::int64_t found = row.count;
    for (int i = 0; i < kLanes; ++i) found -= calm[i];
    for (; x < row.count; ++x) found -= apart<float>(row, x) < pixel::kLeap;
    return found;
}

void settle(const SteadyRow& asked) {
    const SteadyRow row = asked;
    int x = 0;
    for (; x + kLanes <= row.count; x += kLanes) settle_at<Floats>(row, x);
    for (; x < row.count; ++x) settle_at<float>(row, x);
}

}  // namespace

extern const SteadyRows steady_rows;
const SteadyRows steady_rows = {leaps, settle};

}  // namespace segrt::SEGRT_ISA

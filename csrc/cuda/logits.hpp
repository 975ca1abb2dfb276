// What the kernels that read logits share. For .cu files only.
#pragma once

#include "pixel/classify.hpp"
#include "pixel/half.hpp"

namespace segrt::cuda {

using Count = unsigned long long;  // what atomicAdd takes
static_assert(sizeof(Count) == sizeof(std::int64_t), "counts are added up in place");

/// Half precision as bits, so that one type of logits cannot be taken for the other.
struct Half {
    std::uint16_t bits;
};

SEGRT_PIXEL float widen(float value) { return value; }
SEGRT_PIXEL float widen(Half value) { return pixel::from_half(value.bits); }
SEGRT_PIXEL bool finite(float value) { return pixel::is_finite(value); }
SEGRT_PIXEL bool finite(Half value) { return (value.bits & 0x7C00u) != 0x7C00u; }

constexpr unsigned kAllLanes = 0xFFFFFFFFu;
constexpr int kLanes = 32;

/// Add up over the warp; the sum is in lane 0.
__device__ inline Count warp_sum(Count value) {
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) value += __shfl_down_sync(kAllLanes, value, step);
    return value;
}

}  // namespace segrt::cuda

// SEGRT_PIXEL marks the arithmetic of one pixel: written once, compiled for the CPU and, under nvcc, for the GPU.
//
// Internal linkage and forced inlining matter: the CPU files are compiled once per instruction set, and an inline
// function with external linkage compiled for AVX2 could be the copy that the linker keeps for every CPU.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define SEGRT_PIXEL static __host__ __device__ __forceinline__
#else
#define SEGRT_PIXEL static inline __attribute__((always_inline))
#endif

namespace segrt::pixel {

/// The bits of `value` seen as another type of the same size; works for scalars and for SIMD vectors.
template <class To, class From>
SEGRT_PIXEL To bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits() keeps the size");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

/// The nearest whole number to 0..2^23; halves go up. Adding 0.5 first would round 0.49999997 to 1.
SEGRT_PIXEL std::int32_t nearest(float value) {
    const std::int32_t whole = static_cast<std::int32_t>(value);
    return whole + (value - static_cast<float>(whole) >= 0.5f);
}

}  // namespace segrt::pixel

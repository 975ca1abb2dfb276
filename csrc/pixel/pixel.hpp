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

}  // namespace segrt::pixel

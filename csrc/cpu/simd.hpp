// SIMD vectors of the width this file is compiled for, in the compiler's own vector types: SSE2, AVX2, AVX-512, NEON.
// For the files in rows/ only; everything has internal linkage (see pixel/pixel.hpp).
#pragma once

#include "pixel/pixel.hpp"

#if defined(__AVX512F__)
#define SEGRT_VECTOR_BYTES 64
#elif defined(__AVX__)
#define SEGRT_VECTOR_BYTES 32
#else
#define SEGRT_VECTOR_BYTES 16
#endif

namespace segrt::simd {

constexpr int kLanes = SEGRT_VECTOR_BYTES / 4;

typedef float Floats __attribute__((vector_size(SEGRT_VECTOR_BYTES)));
typedef std::int32_t Ints __attribute__((vector_size(SEGRT_VECTOR_BYTES)));
typedef std::uint32_t Words __attribute__((vector_size(SEGRT_VECTOR_BYTES)));
typedef std::uint8_t Bytes __attribute__((vector_size(SEGRT_VECTOR_BYTES)));

template <class V>
SEGRT_PIXEL V load(const void* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class V>
SEGRT_PIXEL void store(void* to, V value) {
    std::memcpy(to, &value, sizeof value);
}

}  // namespace segrt::simd

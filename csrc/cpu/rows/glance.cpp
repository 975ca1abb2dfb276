// Row loop of a glance; compiled once per instruction set. No templates of the standard library here (see pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/glance.hpp"

namespace segrt::SEGRT_ISA {
namespace {

constexpr int kBytes = 3 * pixel::kGlanceCell;

// `count` bytes of one cell.
std::int64_t look_plain(const std::uint8_t* now, int count, std::uint8_t level, std::uint8_t* before,
                        std::uint16_t* sum) {
    int found = 0, total = 0;
    for (int i = 0; i < count; ++i) {
        found += pixel::moved(now[i], before[i], level);
        total += now[i];
        before[i] = now[i];
    }
    *sum = static_cast<std::uint16_t>(total);
    return found;
}

#ifdef __AVX2__

// A whole cell: three vectors.
std::int64_t look_cell(const std::uint8_t* now, __m256i level, std::uint8_t* before, std::uint16_t* sum) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i sums = zero;
    int still = 0;
    for (int i = 0; i < kBytes; i += 32) {
        const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(now + i));
        __m256i* const kept = reinterpret_cast<__m256i*>(before + i);
        const __m256i there = _mm256_loadu_si256(kept);
        _mm256_storeu_si256(kept, here);
        // pixel::moved: what is left of the distance above the level is not nothing.
        const __m256i apart = _mm256_or_si256(_mm256_subs_epu8(here, there), _mm256_subs_epu8(there, here));
        const __m256i calm = _mm256_cmpeq_epi8(_mm256_subs_epu8(apart, level), zero);
        still += __builtin_popcount(static_cast<unsigned>(_mm256_movemask_epi8(calm)));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(here, zero));
    }
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    *sum = static_cast<std::uint16_t>(_mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 2));
    return kBytes - still;
}

#endif

std::int64_t look(const std::uint8_t* now, int count, std::uint8_t level, std::uint8_t* before, std::uint16_t* sums) {
    std::int64_t found = 0;
    int i = 0;
#ifdef __AVX2__
    const __m256i levels = _mm256_set1_epi8(static_cast<char>(level));
    for (; i + kBytes <= count; i += kBytes) found += look_cell(now + i, levels, before + i, sums++);
#endif
    for (; i < count; i += kBytes) {
        const int left = count - i;
        found += look_plain(now + i, left < kBytes ? left : kBytes, level, before + i, sums++);
    }
    return found;
}

}  // namespace

extern const GlanceRows glance_rows;
const GlanceRows glance_rows = {look};

}  // namespace segrt::SEGRT_ISA

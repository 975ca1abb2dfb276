// Row loops of preprocess; compiled once per instruction set. No templates of the standard library here (see
// pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/blend.hpp"
#include "pixel/half.hpp"
#include "pixel/normalize.hpp"

namespace segrt::SEGRT_ISA {
namespace {

#ifdef __AVX2__

// pixel::blend of sixteen values; _mm256_mulhrs_epi16 is its multiplication.
SEGRT_PIXEL __m256i blend(__m256i from, __m256i to, __m256i share) {
    return _mm256_add_epi16(from, _mm256_mulhrs_epi16(_mm256_sub_epi16(to, from), share));
}

SEGRT_PIXEL __m256i sixteen_q7(const std::uint8_t* bytes) {
    return _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes))), 7);
}

#endif

void down(const std::uint8_t* top, const std::uint8_t* bottom, std::int16_t share, int count, std::int16_t* out) {
    int i = 0;
#ifdef __AVX2__
    const __m256i shares = _mm256_set1_epi16(share);
    for (; i + 16 <= count; i += 16) {
        const __m256i mixed = blend(sixteen_q7(top + i), sixteen_q7(bottom + i), shares);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), mixed);
    }
#endif
    for (; i < count; ++i) out[i] = pixel::blend(pixel::to_q7(top[i]), pixel::to_q7(bottom[i]), share);
}

template <int kChannels>
void across_plain(const std::int16_t* row, const std::int32_t* index, const std::int16_t* share, int from, int count,
                  std::uint8_t* out) {
    for (int x = from; x < count; ++x) {
        const std::int16_t* at = row + index[x];
        for (int c = 0; c < 3; ++c) out[3 * x + c] = pixel::to_byte(pixel::blend(at[c], at[c + kChannels], share[x]));
    }
}

#ifdef __AVX2__

// Four pixels of four 16-bit values from four places.
SEGRT_PIXEL __m256i gather4(const std::int16_t* row, const std::int32_t* index) {
    const auto at = [&](int i) { return reinterpret_cast<const __m128i*>(row + index[i]); };
    const auto high = [](__m128i low, const __m128i* from) {
        return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(from)));
    };
    const __m128i first = high(_mm_loadl_epi64(at(0)), at(1));
    const __m128i second = high(_mm_loadl_epi64(at(2)), at(3));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

// pixel::blend and pixel::to_byte's rounding on four such pixels.
SEGRT_PIXEL __m256i across4(const std::int16_t* row, int channels, const std::int32_t* index,
                            const std::int16_t* share) {
    const __m256i spread = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3,  //
                                            4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    std::int64_t four;
    __builtin_memcpy(&four, share, sizeof four);
    const __m256i shares = _mm256_shuffle_epi8(_mm256_set1_epi64x(four), spread);
    const __m256i mixed = blend(gather4(row, index), gather4(row + channels, index), shares);
    return _mm256_srli_epi16(_mm256_add_epi16(mixed, _mm256_set1_epi16(64)), 7);
}

// The first twelve bytes of both lanes; four more are overwritten.
SEGRT_PIXEL void store_twelve_each(__m256i lanes, std::uint8_t* out) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(lanes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 12), _mm256_extracti128_si256(lanes, 1));
}

// Eight pixels at a time, the fourth value of each dropped. Reads up to 3 values and writes 4 bytes too far.
void across_wide(const std::int16_t* row, int channels, const std::int32_t* index, const std::int16_t* share, int count,
                 std::uint8_t* out) {
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
    const __m256i drop = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                          0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    int x = 0;
    for (; x + 8 <= count; x += 8) {
        const __m256i a = across4(row, channels, index + x, share + x);
        const __m256i b = across4(row, channels, index + x + 4, share + x + 4);
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order);
        // After the pack a lane holds pixels 0,1,4,5 and 2,3,6,7; `order` makes that 0..3 and 4..7.
        store_twelve_each(_mm256_shuffle_epi8(bytes, drop), out + 3 * x);
    }
    if (channels == 3) {
        across_plain<3>(row, index, share, x, count, out);
    } else {
        across_plain<4>(row, index, share, x, count, out);
    }
}

#endif

void across_gray(const std::int16_t* row, const std::int32_t* index, const std::int16_t* share, int count,
                 std::uint8_t* out) {
    int x = 0;
#ifdef __AVX2__
    for (; x + 8 <= count; x += 8) {
        // A pixel and the next in the halves of 32 bits; what is computed in the upper halves is not used.
        const __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index + x));
        const __m256i here = _mm256_i32gather_epi32(reinterpret_cast<const int*>(row), places, 2);
        const __m256i shares = _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(share + x)));
        const __m256i mixed = blend(here, _mm256_srli_epi32(here, 16), shares);
        const __m256i rounded = _mm256_srli_epi16(_mm256_add_epi16(mixed, _mm256_set1_epi16(64)), 7);
        const __m256i thrice = _mm256_setr_epi8(0, 0, 0, 4, 4, 4, 8, 8, 8, 12, 12, 12, -1, -1, -1, -1,  //
                                                0, 0, 0, 4, 4, 4, 8, 8, 8, 12, 12, 12, -1, -1, -1, -1);
        store_twelve_each(_mm256_shuffle_epi8(rounded, thrice), out + 3 * x);
    }
#endif
    for (; x < count; ++x) {
        const std::int16_t* at = row + index[x];
        out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = pixel::to_byte(pixel::blend(at[0], at[1], share[x]));
    }
}

void across(const std::int16_t* row, int channels, const std::int32_t* index, const std::int16_t* share, int count,
            std::uint8_t* out) {
    if (channels == 1) return across_gray(row, index, share, count, out);
#ifdef __AVX2__
    across_wide(row, channels, index, share, count, out);
#else
    if (channels == 3) return across_plain<3>(row, index, share, 0, count, out);
    across_plain<4>(row, index, share, 0, count, out);
#endif
}

#ifdef __AVX2__

// Bytes 0..15 and 8..23 of eight pixels: pixel 0 begins at byte 0 of the one lane, pixel 4 at byte 4 of the other.
__m256i eight_pixels(const std::uint8_t* at) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 8));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

// Channel `c` of eight such pixels, normalised.
template <int c>
__m256 normalized(__m256i pixels, const PlanarRow& to) {
    const __m256i pick = _mm256_setr_epi8(c, -1, -1, -1, c + 3, -1, -1, -1, c + 6, -1, -1, -1, c + 9, -1, -1, -1,  //
                                          c + 4, -1, -1, -1, c + 7, -1, -1, -1, c + 10, -1, -1, -1, c + 13, -1, -1, -1);
    const __m256 bytes = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, pick));
    return pixel::normalize<__m256>(bytes, to.mean[c], to.inverse_std[c]);
}

template <int c>
void store(__m256i pixels, const PlanarRow& to, int x, float) {
    _mm256_storeu_ps(static_cast<float*>(to.plane[c]) + x, normalized<c>(pixels, to));
}

template <int c>
void store(__m256i pixels, const PlanarRow& to, int x, std::uint16_t) {
    const __m128i halves = _mm256_cvtps_ph(normalized<c>(pixels, to), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<std::uint16_t*>(to.plane[c]) + x), halves);
}

#endif

void convert(float value, float* to) { *to = value; }
void convert(float value, std::uint16_t* to) { *to = pixel::to_half(value); }

template <class Value>
void planar(const std::uint8_t* row, int count, const PlanarRow& asked) {
    const PlanarRow to = asked;  // of our own: nothing that is written can alias it
#ifdef __AVX2__
    if (count >= 8) {
        const auto eight = [&](int x) __attribute__((always_inline)) {
            const __m256i pixels = eight_pixels(row + 3 * x);
            store<0>(pixels, to, x, Value{});
            store<1>(pixels, to, x, Value{});
            store<2>(pixels, to, x, Value{});
        };
        // The first and the last eight may overlap others, so that those between are aligned: a third faster.
        const int vector = 8 * sizeof(Value);
        const int ahead = static_cast<int>(reinterpret_cast<std::uintptr_t>(to.plane[0]) % vector / sizeof(Value));
        eight(0);
        for (int x = 8 - ahead; x < count - 8; x += 8) eight(x);
        eight(count - 8);
        return;
    }
#endif
    for (int c = 0; c < 3; ++c) {
        Value* plane = static_cast<Value*>(to.plane[c]);
        for (int x = 0; x < count; ++x) {
            convert(pixel::normalize(static_cast<float>(row[3 * x + c]), to.mean[c], to.inverse_std[c]), plane + x);
        }
    }
}

// torch's channels-last; on a CPU only a reference for the GPU, so nobody waits for it.
void interleaved_f16(const std::uint8_t* row, int count, const PlanarRow& to) {
    for (int c = 0; c < 3; ++c) {
        std::uint16_t* out = static_cast<std::uint16_t*>(to.plane[c]);
        for (int x = 0; x < count; ++x) {
            convert(pixel::normalize(static_cast<float>(row[3 * x + c]), to.mean[c], to.inverse_std[c]), out + 3 * x);
        }
    }
}

}  // namespace

extern const PreprocessRows preprocess_rows;
const PreprocessRows preprocess_rows = {down, across, planar<float>, planar<std::uint16_t>, interleaved_f16};

}  // namespace segrt::SEGRT_ISA

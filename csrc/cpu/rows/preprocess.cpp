// Row loops of preprocess; compiled once per instruction set. No templates of the standard library here (see
// pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/blend.hpp"
#include "pixel/colour.hpp"
#include "pixel/half.hpp"
#include "pixel/normalize.hpp"

namespace segrt::SEGRT_ISA {
namespace {

void down(const std::uint8_t* top, const std::uint8_t* bottom, std::int16_t share, int count, std::int16_t* out) {
    if (share == 0) {
        for (int i = 0; i < count; ++i) out[i] = pixel::to_q7(top[i]);
        return;
    }
    for (int i = 0; i < count; ++i) out[i] = pixel::blend(pixel::to_q7(top[i]), pixel::to_q7(bottom[i]), share);
}

template <int kChannels>
void across_plain(const std::int16_t* row, const std::int32_t* index, const std::int16_t* share, int from, int count,
                  std::uint8_t* out) {
    for (int x = from; x < count; ++x) {
        const std::int16_t* at = row + index[x];
        for (int c = 0; c < 3; ++c) {
            const int k = kChannels == 1 ? 0 : c;
            out[3 * x + c] = pixel::to_byte(pixel::blend(at[k], at[k + kChannels], share[x]));
        }
    }
}

#ifdef __AVX2__

// Four pixels of four 16-bit values from four places.
__m256i gather4(const std::int16_t* row, const std::int32_t* index) {
    const auto at = [&](int i) { return reinterpret_cast<const __m128i*>(row + index[i]); };
    const auto high = [](__m128i low, const __m128i* from) {
        return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(from)));
    };
    const __m128i first = high(_mm_loadl_epi64(at(0)), at(1));
    const __m128i second = high(_mm_loadl_epi64(at(2)), at(3));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

// pixel::blend and pixel::to_byte's rounding on four such pixels.
__m256i across4(const std::int16_t* row, int channels, const std::int32_t* index, const std::int16_t* share) {
    const __m256i spread = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3,  //
                                            4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    std::int64_t four;
    __builtin_memcpy(&four, share, sizeof four);
    const __m256i shares = _mm256_shuffle_epi8(_mm256_set1_epi64x(four), spread);
    const __m256i here = gather4(row, index), next = gather4(row + channels, index);
    const __m256i mixed = _mm256_add_epi16(here, _mm256_mulhrs_epi16(_mm256_sub_epi16(next, here), shares));
    return _mm256_srli_epi16(_mm256_add_epi16(mixed, _mm256_set1_epi16(64)), 7);
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
        const __m256i three = _mm256_shuffle_epi8(bytes, drop);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * x), _mm256_castsi256_si128(three));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * x + 12), _mm256_extracti128_si256(three, 1));
    }
    if (channels == 3) {
        across_plain<3>(row, index, share, x, count, out);
    } else {
        across_plain<4>(row, index, share, x, count, out);
    }
}

#endif

void across(const std::int16_t* row, int channels, const std::int32_t* index, const std::int16_t* share, int count,
            std::uint8_t* out) {
    if (channels == 1) return across_plain<1>(row, index, share, 0, count, out);
#ifdef __AVX2__
    across_wide(row, channels, index, share, count, out);
#else
    if (channels == 3) return across_plain<3>(row, index, share, 0, count, out);
    across_plain<4>(row, index, share, 0, count, out);
#endif
}

void gray16(const std::uint16_t* row, float scale, int count, std::uint8_t* out) {
    for (int x = 0; x < count; ++x) out[x] = pixel::gray16_to_byte(row[x], scale);
}

void yuv(const YuvRow& row, bool bt709, bool full_range, int count, std::uint8_t* out) {
    const pixel::Yuv k = pixel::yuv(bt709, full_range);
    for (int x = 0; x < count; ++x) {
        const int chroma = ((x + row.odd) >> 1) * row.chroma_step;
        pixel::yuv_to_bgr(row.y[x], row.u[chroma], row.v[chroma], k, out + 3 * x);
    }
}

void to_three(const std::uint8_t* row, int channels, int count, std::uint8_t* out) {
    if (channels == 1) {
        for (int x = 0; x < count; ++x) out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = row[x];
        return;
    }
    for (int x = 0; x < count; ++x) {
        for (int c = 0; c < 3; ++c) out[3 * x + c] = row[4 * x + c];
    }
}

void swap(const std::uint8_t* row, int count, std::uint8_t* out) {
    int x = 0;
#ifdef __AVX2__
    const __m128i swapped = _mm_setr_epi8(2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, -1);
    for (; x + 6 <= count; x += 5) {  // 16 bytes are read and written: the next pixel must exist
        const __m128i five = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 3 * x));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * x), _mm_shuffle_epi8(five, swapped));
    }
#endif
    for (; x < count; ++x) {
        const std::uint8_t first = row[3 * x];
        out[3 * x + 1] = row[3 * x + 1];
        out[3 * x] = row[3 * x + 2];
        out[3 * x + 2] = first;
    }
}

#ifdef __AVX2__

// Channel `c` of eight pixels as floats; `pixels` holds pixels 0..3 and 4..7 in its two lanes, from byte 0 of each.
template <int c>
__m256 channel(__m256i pixels) {
    const __m256i pick = _mm256_setr_epi8(c, -1, -1, -1, c + 3, -1, -1, -1, c + 6, -1, -1, -1, c + 9, -1, -1, -1,  //
                                          c, -1, -1, -1, c + 3, -1, -1, -1, c + 6, -1, -1, -1, c + 9, -1, -1, -1);
    return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, pick));
}

template <int c>
__m256 normalized(__m256i pixels, const PlanarRow& to) {
    return pixel::normalize<__m256>(channel<c>(pixels), to.mean[c], to.inverse_std[c]);
}

__m256i eight_pixels(const std::uint8_t* at) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first),
                                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 12)), 1);
}

template <int c>
void store_f32(__m256i pixels, const PlanarRow& to, int x) {
    _mm256_storeu_ps(static_cast<float*>(to.plane[c]) + x, normalized<c>(pixels, to));
}

template <int c>
void store_f16(__m256i pixels, const PlanarRow& to, int x) {
    const __m128i halves = _mm256_cvtps_ph(normalized<c>(pixels, to), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<std::uint16_t*>(to.plane[c]) + x), halves);
}

#endif

void planar_f32(const std::uint8_t* row, int count, const PlanarRow& to) {
    int x = 0;
#ifdef __AVX2__
    for (; x + 10 <= count; x += 8) {  // 28 bytes are read
        const __m256i pixels = eight_pixels(row + 3 * x);
        store_f32<0>(pixels, to, x);
        store_f32<1>(pixels, to, x);
        store_f32<2>(pixels, to, x);
    }
#endif
    for (int c = 0; c < 3; ++c) {
        float* plane = static_cast<float*>(to.plane[c]);
        for (int i = x; i < count; ++i) {
            plane[i] = pixel::normalize(static_cast<float>(row[3 * i + c]), to.mean[c], to.inverse_std[c]);
        }
    }
}

void planar_f16(const std::uint8_t* row, int count, const PlanarRow& to) {
    int x = 0;
#ifdef __AVX2__
    for (; x + 10 <= count; x += 8) {
        const __m256i pixels = eight_pixels(row + 3 * x);
        store_f16<0>(pixels, to, x);
        store_f16<1>(pixels, to, x);
        store_f16<2>(pixels, to, x);
    }
#endif
    for (int c = 0; c < 3; ++c) {
        std::uint16_t* plane = static_cast<std::uint16_t*>(to.plane[c]);
        for (int i = x; i < count; ++i) {
            const float value = static_cast<float>(row[3 * i + c]);
            plane[i] = pixel::to_half(pixel::normalize(value, to.mean[c], to.inverse_std[c]));
        }
    }
}

}  // namespace

extern const PreprocessRows preprocess_rows;
const PreprocessRows preprocess_rows = {down, across, gray16, yuv, to_three, swap, planar_f32, planar_f16};

}  // namespace segrt::SEGRT_ISA

// Row loops that bring every format to three bytes a pixel; compiled once per instruction set. No templates of the
// standard library here (see pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/colour.hpp"

namespace segrt::SEGRT_ISA {
namespace {

void gray16(const std::uint16_t* row, float scale, int count, std::uint8_t* out) {
    for (int x = 0; x < count; ++x) out[x] = pixel::gray16_to_byte(row[x], scale);
}

void yuv_plain(const YuvRow& row, const pixel::Yuv& k, int from, int until, std::uint8_t* out) {
    for (int x = from; x < until; ++x) {
        const int chroma = ((x + row.odd) >> 1) * row.chroma_step;
        pixel::yuv_to_bgr(row.y[x], row.u[chroma], row.v[chroma], k, out + 3 * x);
    }
}

#ifdef __AVX2__

// Pairs of 16-bit coefficients for _mm256_madd_epi16.
SEGRT_PIXEL __m256i pairs(std::int16_t first, std::int16_t second) {
    return _mm256_set1_epi32(static_cast<std::int32_t>(
        static_cast<std::uint16_t>(first) | static_cast<std::uint32_t>(static_cast<std::uint16_t>(second)) << 16));
}

// One colour of sixteen pixels, before the clamp: a * first + b * second (+ c * third) in Q13, rounded.
SEGRT_PIXEL __m256i mix(__m256i a, __m256i b, __m256i coefficients, __m256i low_rest, __m256i high_rest) {
    const __m256i low = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), coefficients), low_rest);
    const __m256i high = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), coefficients), high_rest);
    return _mm256_packs_epi32(_mm256_srai_epi32(low, 13), _mm256_srai_epi32(high, 13));
}

// Sixteen pixels from an even one on; both chroma pointers are at its sample. Returns how many pixels were done.
int yuv_wide(const YuvRow& row, const pixel::Yuv& k, int from, int count, std::uint8_t* out) {
    const __m128i twice = row.chroma_step == 2 ? _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14)
                                               : _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m128i twice_v =
        row.chroma_step == 2 ? _mm_setr_epi8(1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15) : twice;
    const __m256i bg0 =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, -1, 1, 9, -1, 2, 10, -1, 3, 11, -1, 4, 12, -1, 5));
    const __m256i bg1 =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(13, -1, 6, 14, -1, 7, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m256i r0 =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1));
    const __m256i r1 =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m256i offset = _mm256_set1_epi16(k.offset), centre = _mm256_set1_epi16(128);
    const __m256i half = _mm256_set1_epi32(pixel::kYuvHalf);
    const __m256i blue_of = pairs(k.luma, k.blue_u), red_of = pairs(k.luma, k.red_v);
    const __m256i green_of = pairs(k.luma, k.green_u), green_rest = pairs(k.green_v, 0);
    int x = from;
    for (; x + 16 <= count; x += 16) {
        const int chroma = ((x + row.odd) >> 1) * row.chroma_step;
        __m128i u_bytes, v_bytes;
        if (row.chroma_step == 2) {
            u_bytes = v_bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.u + chroma));
        } else {
            u_bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row.u + chroma));
            v_bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row.v + chroma));
        }
        const __m128i y_bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.y + x));
        const __m256i y = _mm256_sub_epi16(_mm256_cvtepu8_epi16(y_bytes), offset);
        const __m256i u = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_shuffle_epi8(u_bytes, twice)), centre);
        const __m256i v = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_shuffle_epi8(v_bytes, twice_v)), centre);
        const __m256i blue = mix(y, u, blue_of, half, half), red = mix(y, v, red_of, half, half);
        const __m256i v_low = _mm256_madd_epi16(_mm256_unpacklo_epi16(v, v), green_rest);
        const __m256i v_high = _mm256_madd_epi16(_mm256_unpackhi_epi16(v, v), green_rest);
        const __m256i green = mix(y, u, green_of, _mm256_add_epi32(v_low, half), _mm256_add_epi32(v_high, half));
        // Each lane: eight blue and eight green bytes; eight red ones. Woven to 16 and 8 bytes.
        const __m256i bg = _mm256_packus_epi16(blue, green), rr = _mm256_packus_epi16(red, red);
        const __m256i first = _mm256_or_si256(_mm256_shuffle_epi8(bg, bg0), _mm256_shuffle_epi8(rr, r0));
        const __m256i last = _mm256_or_si256(_mm256_shuffle_epi8(bg, bg1), _mm256_shuffle_epi8(rr, r1));
        std::uint8_t* to = out + 3 * x;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(first));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 16), _mm256_castsi256_si128(last));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 24), _mm256_extracti128_si256(first, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 40), _mm256_extracti128_si256(last, 1));
    }
    return x;
}

#endif

void yuv(const YuvRow& row, bool bt709, bool full_range, int count, std::uint8_t* out) {
    const pixel::Yuv k = pixel::yuv(bt709, full_range);
    int x = 0;
#ifdef __AVX2__
    if (row.odd) yuv_plain(row, k, 0, x = 1, out);
    x = yuv_wide(row, k, x, count, out);
#endif
    yuv_plain(row, k, x, count, out);
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

}  // namespace

extern const FormatRows format_rows;
const FormatRows format_rows = {gray16, yuv, to_three, swap};

}  // namespace segrt::SEGRT_ISA

// Row loops of overlay; compiled once per instruction set. No templates of the standard library here (see pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/blend.hpp"

namespace segrt::SEGRT_ISA {
namespace {

struct Three {
    static constexpr int kCount = 3;
};
struct Four {
    static constexpr int kCount = 4;
};

template <int kChannels>
void tint_plain(const std::uint8_t* row, const std::uint8_t* ids, const Tint* tints, int from, int count,
                std::uint8_t* out) {
    for (int x = from; x < count; ++x) {
        const Tint& tint = tints[ids[x]];
        for (int c = 0; c < kChannels; ++c) {
            const std::uint8_t byte = row[kChannels * x + c];
            const std::int16_t to = c < 3 ? tint.colour[c] : pixel::to_q7(byte);
            out[kChannels * x + c] = pixel::to_byte(pixel::blend(pixel::to_q7(byte), to, tint.share));
        }
    }
}

#ifdef __AVX2__

SEGRT_PIXEL __m128i load16(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

// The tints of four pixels.
SEGRT_PIXEL __m256i four_tints(const Tint* tints, const std::uint8_t* ids) {
    const auto two = [&](int i) {
        const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(tints + ids[i]));
        const auto* high = reinterpret_cast<const __m64*>(tints + ids[i + 1]);
        return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), high));
    };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(two(0)), two(2), 1);
}

// pixel::blend of four pixels of four Q7 values with their tints, rounded to bytes in 16 bits. The fourth value stays.
SEGRT_PIXEL __m256i tint_four(__m256i from, __m256i tints) {
    const __m256i spread = _mm256_setr_epi8(6, 7, 6, 7, 6, 7, -1, -1, 14, 15, 14, 15, 14, 15, -1, -1,  //
                                            6, 7, 6, 7, 6, 7, -1, -1, 14, 15, 14, 15, 14, 15, -1, -1);
    const __m256i step = _mm256_mulhrs_epi16(_mm256_sub_epi16(tints, from), _mm256_shuffle_epi8(tints, spread));
    return _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(from, step), _mm256_set1_epi16(64)), 7);
}

// Two results as the bytes of pixels 0..3 and 4..7.
SEGRT_PIXEL __m256i eight_pixels(__m256i first, __m256i second) {
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7));
}

// Three bytes a pixel: exactly 24 bytes are read and written, so that `out` may be `row`.
SEGRT_PIXEL void tint_eight(const std::uint8_t* row, __m256i first, __m256i second, std::uint8_t* out, Three) {
    // The bytes go into the upper halves of 16 bits, so a shift by one makes them Q7. Pixel 4 is at byte 4 of 8..23.
    const __m256i pick0 = _mm256_setr_epi8(-1, 0, -1, 1, -1, 2, -1, -1, -1, 3, -1, 4, -1, 5, -1, -1,  //
                                           -1, 6, -1, 7, -1, 8, -1, -1, -1, 9, -1, 10, -1, 11, -1, -1);
    const __m256i pick4 = _mm256_setr_epi8(-1, 4, -1, 5, -1, 6, -1, -1, -1, 7, -1, 8, -1, 9, -1, -1,  //
                                           -1, 10, -1, 11, -1, 12, -1, -1, -1, 13, -1, 14, -1, 15, -1, -1);
    const __m256i here0 = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(row)), pick0);
    const __m256i here4 = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(row + 8)), pick4);
    const __m256i bytes =
        eight_pixels(tint_four(_mm256_srli_epi16(here0, 1), first), tint_four(_mm256_srli_epi16(here4, 1), second));
    const __m256i drop = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                          0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i three = _mm256_shuffle_epi8(bytes, drop);
    const __m128i low = _mm256_castsi256_si128(three), high = _mm256_extracti128_si256(three, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_or_si128(low, _mm_slli_si128(high, 12)));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), _mm_srli_si128(high, 4));
}

SEGRT_PIXEL void tint_eight(const std::uint8_t* row, __m256i first, __m256i second, std::uint8_t* out, Four) {
    const __m256i here0 = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(row)), 7);
    const __m256i here4 = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(row + 16)), 7);
    const __m256i bytes = eight_pixels(tint_four(here0, first), tint_four(here4, second));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
}

// Eight pixels of one class that shows nothing: most of most masks.
SEGRT_PIXEL bool invisible(const std::uint8_t* ids, const Tint* tints) {
    std::uint64_t eight;
    __builtin_memcpy(&eight, ids, sizeof eight);
    return eight == (eight & 0xFF) * 0x0101010101010101u && tints[ids[0]].share == 0;
}

#endif

template <class Channels>
void tint_row(const std::uint8_t* row, const std::uint8_t* ids, const Tint* tints, int count, std::uint8_t* out) {
    constexpr int kChannels = Channels::kCount;
    int x = 0;
#ifdef __AVX2__
    for (; x + 8 <= count; x += 8) {
        const std::uint8_t* from = row + kChannels * x;
        std::uint8_t* to = out + kChannels * x;
        if (invisible(ids + x, tints)) {
            if (to != from) __builtin_memcpy(to, from, 8 * kChannels);
        } else {
            tint_eight(from, four_tints(tints, ids + x), four_tints(tints, ids + x + 4), to, Channels{});
        }
    }
#endif
    tint_plain<kChannels>(row, ids, tints, x, count, out);
}

void tint(const std::uint8_t* row, const std::uint8_t* ids, const Tint* tints, int channels, int count,
          std::uint8_t* out) {
    if (channels == 3) return tint_row<Three>(row, ids, tints, count, out);
    tint_row<Four>(row, ids, tints, count, out);
}

}  // namespace

extern const OverlayRows overlay_rows;
const OverlayRows overlay_rows = {tint};

}  // namespace segrt::SEGRT_ISA

// Row loops of overlay; compiled once per instruction set. No templates of the standard library here (see pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "pixel/blend.hpp"

namespace segrt::SEGRT_ISA {
namespace {

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

void tint(const std::uint8_t* row, const std::uint8_t* ids, const Tint* tints, int channels, int count,
          std::uint8_t* out) {
    if (channels == 3) return tint_plain<3>(row, ids, tints, 0, count, out);
    tint_plain<4>(row, ids, tints, 0, count, out);
}

}  // namespace

extern const OverlayRows overlay_rows;
const OverlayRows overlay_rows = {tint};

}  // namespace segrt::SEGRT_ISA

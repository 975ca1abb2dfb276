// Row loops of postprocess; compiled once per instruction set. No templates of the standard library here (see
// pixel.hpp).
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "pixel/classify.hpp"
#include "pixel/half.hpp"

namespace segrt::SEGRT_ISA {
namespace {

using simd::Floats;
using simd::Ints;
using simd::kLanes;
using simd::Words;

std::int64_t nonfinite_f32(const std::uint32_t* values, int count) {
    std::uint32_t found = 0;
    for (int i = 0; i < count; ++i) found += (values[i] & 0x7F800000u) == 0x7F800000u;
    return found;
}

std::int64_t nonfinite_f16(const std::uint16_t* values, int count) {
    std::uint32_t found = 0;
    for (int i = 0; i < count; ++i) found += (values[i] & 0x7C00u) == 0x7C00u;
    return found;
}

void widen(const std::uint16_t* halves, int count, float* out) {
    int i = 0;
#ifdef __AVX2__
    for (; i + 8 <= count; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
    }
#endif
    for (; i < count; ++i) out[i] = pixel::from_half(halves[i]);
}

void stretch(const float* line, const std::int32_t* index, const float* here, const float* next, int count, bool dense,
             float* out) {
    int x = 0;
#ifdef __AVX2__
    // Eight neighbours come out of one register by a permutation: no gather.
    for (; dense && x + 8 <= count; x += 8) {
        const __m256i first = _mm256_set1_epi32(index[x]);
        const __m256i place = _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(index + x)), first);
        const __m256 a = _mm256_permutevar8x32_ps(_mm256_loadu_ps(line + index[x]), place);
        const __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(line + index[x] + 1), place);
        const __m256 mixed = pixel::between(a, b, _mm256_loadu_ps(here + x), _mm256_loadu_ps(next + x));
        _mm256_storeu_ps(out + x, mixed);
    }
#endif
    (void)dense;
    for (; x < count; ++x) out[x] = pixel::between(line[index[x]], line[index[x] + 1], here[x], next[x]);
}

// The class of each of kLanes pixels and the largest logit; the logits are left in `stash` where there is one.
struct Winner {
    Floats value;
    Ints id;
};

Floats logit(const ClassifyRow& row, int c, int x) {
    const std::ptrdiff_t at = c * row.class_stride + x;
    return pixel::between(simd::load<Floats>(row.top + at), simd::load<Floats>(row.bottom + at), row.top_weight,
                          row.bottom_weight);
}

void take(Winner& winner, Floats value, int c) {
    const Ints larger = value > winner.value;  // not larger-or-equal: the lower class wins a tie
    winner.value = larger ? value : winner.value;
    winner.id = larger ? Ints{} + c : winner.id;
}

// Rounded to 65536ths. The comparison turns the NaN of non-finite logits into 0.
Ints probability(Floats value) {
    const Floats scaled = value * pixel::kProbabilityOne + 0.5f;
    return __builtin_convertvector(value > 0.0f ? scaled : Floats{}, Ints);
}

// Add up the probabilities of a row whose pixels `each(x)` classifies kLanes at a time.
template <class Each>
std::uint64_t over_row(const ClassifyRow& row, Each each) {
    Ints lane;
    for (int i = 0; i < kLanes; ++i) lane[i] = i;
    Words sum = {};
    for (int x = 0; x < row.count; x += kLanes) {
        const Ints found = each(x);
        sum += reinterpret_cast<Words>(lane < Ints{} + (row.count - x) ? found : Ints{});
    }
    std::uint64_t total = 0;
    for (int i = 0; i < kLanes; ++i) total += sum[i];
    return total;
}

void write_ids(const ClassifyRow& row, int x, Ints id) {
    simd::store(row.ids + x, __builtin_convertvector(id, simd::LaneBytes));
}

// kClasses known when compiling: the logits of a pixel stay in registers.
template <int kClasses>
std::uint64_t softmax_of(const ClassifyRow& row) {
    return over_row(row, [&](int x) {
        Floats values[kClasses];
        Winner winner = {values[0] = logit(row, 0, x), Ints{}};
        for (int c = 1; c < kClasses; ++c) take(winner, values[c] = logit(row, c, x), c);
        Floats sum = {};
        for (int c = 0; c < kClasses; ++c) sum += pixel::exp_nonpositive<Floats, Words>(values[c] - winner.value);
        write_ids(row, x, winner.id);
        return probability(1.0f / sum);
    });
}

std::uint64_t softmax_of_many(const ClassifyRow& row) {
    return over_row(row, [&](int x) {
        Winner winner = {logit(row, 0, x), Ints{}};
        simd::store(row.stash, winner.value);
        for (int c = 1; c < row.classes; ++c) {
            const Floats value = logit(row, c, x);
            simd::store(row.stash + c * kLanes, value);
            take(winner, value, c);
        }
        Floats sum = {};
        for (int c = 0; c < row.classes; ++c) {
            const Floats value = simd::load<Floats>(row.stash + c * kLanes);
            sum += pixel::exp_nonpositive<Floats, Words>(value - winner.value);
        }
        write_ids(row, x, winner.id);
        return probability(1.0f / sum);
    });
}

std::uint64_t softmax(const ClassifyRow& row) {
    switch (row.classes) {
        case 2:
            return softmax_of<2>(row);
        case 3:
            return softmax_of<3>(row);
        case 4:
            return softmax_of<4>(row);
        default:
            return softmax_of_many(row);
    }
}

std::uint64_t sigmoid(const ClassifyRow& row) {
    return over_row(row, [&](int x) {
        Winner winner = {logit(row, 0, x), Ints{}};
        for (int c = 1; c < row.classes; ++c) take(winner, logit(row, c, x), c);
        write_ids(row, x, winner.id);
        return probability(pixel::sigmoid<Floats, Words>(winner.value));
    });
}

void count(const std::uint8_t* ids, int count, int classes, std::int64_t* areas) {
    // Four tables, so that runs of one class need not wait for their own last addition.
    std::uint32_t tables[4][256];
    for (auto& table : tables) __builtin_memset(table, 0, sizeof(std::uint32_t) * classes);
    int x = 0;
    for (; x + 4 <= count; x += 4) {
        for (int i = 0; i < 4; ++i) ++tables[i][ids[x + i]];
    }
    for (; x < count; ++x) ++tables[0][ids[x]];
    for (int c = 0; c < classes; ++c) areas[c] += tables[0][c] + tables[1][c] + tables[2][c] + tables[3][c];
}

std::int64_t differing(const std::uint8_t* a, const std::uint8_t* b, int count) {
    std::uint32_t found = 0;
    for (int x = 0; x < count; ++x) found += a[x] != b[x];
    return found;
}

}  // namespace

extern const PostprocessRows postprocess_rows;
const PostprocessRows postprocess_rows = {nonfinite_f32, nonfinite_f16, widen, stretch,
                                          softmax,       sigmoid,       count, differing};

}  // namespace segrt::SEGRT_ISA

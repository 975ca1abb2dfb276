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

// The class of each of kLanes pixels and its logit.
using Winner = pixel::Winner<Floats, Ints>;

Floats logit(const ClassifyRow& row, int c, int x) {
    const std::ptrdiff_t at = c * row.class_stride + x;
    return pixel::between(simd::load<Floats>(row.top + at), simd::load<Floats>(row.bottom + at), row.top_weight,
                          row.bottom_weight);
}

Floats take(Winner& winner, Floats value, int c) { return pixel::take(winner, value, Ints{} + c); }

// pixel::in_65536ths of a vector.
Ints probability(Floats value) {
    const Floats scaled = value * pixel::kProbabilityOne + 0.5f;
    return __builtin_convertvector(value > 0.0f ? scaled : Floats{}, Ints);
}

// Add up the probabilities of a row whose pixels `each(row, x)` classifies kLanes at a time.
template <class Each>
std::uint64_t over_row(const ClassifyRow& asked, Each each) {
    const ClassifyRow row = asked;  // of our own: nothing that is written can alias it
    Ints lane;
    for (int i = 0; i < kLanes; ++i) lane[i] = i;
    Ints sum = {};  // of at most 32768 / kLanes * 65536 each
    int x = 0;
    for (; x + kLanes <= row.count; x += kLanes) sum += each(row, x);
    if (x < row.count) {
        const Ints last = each(row, x);
        sum += lane < Ints{} + (row.count - x) ? last : Ints{};
    }
    std::uint64_t total = 0;
    for (int i = 0; i < kLanes; ++i) total += static_cast<std::uint32_t>(sum[i]);
    for (int i = 0; i < row.count; ++i) row.ids[i] = static_cast<std::uint8_t>(row.wide_ids[i]);
    return total;
}

Floats exp_of(Floats value) { return pixel::exp_nonpositive<Floats, Words>(value); }

// kClasses known when compiling: the logits of a pixel stay in registers.
template <int kClasses>
std::uint64_t softmax_of(const ClassifyRow& asked) {
    return over_row(asked, [](const ClassifyRow& row, int x) {
        Floats losers[kClasses];
        Winner winner = {logit(row, 0, x), Ints{}};
        for (int c = 1; c < kClasses; ++c) losers[c] = take(winner, logit(row, c, x), c);
        simd::store(row.wide_ids + x, winner.id);
        Floats sum = Floats{} + 1.0f;
        for (int c = 1; c < kClasses; ++c) sum += exp_of(losers[c] - winner.value);
        return probability(1.0f / sum);
    });
}

std::uint64_t softmax_of_many(const ClassifyRow& asked) {
    return over_row(asked, [](const ClassifyRow& row, int x) {
        Winner winner = {logit(row, 0, x), Ints{}};
        for (int c = 1; c < row.classes; ++c) simd::store(row.stash + c * kLanes, take(winner, logit(row, c, x), c));
        simd::store(row.wide_ids + x, winner.id);
        Floats sum = Floats{} + 1.0f;
        for (int c = 1; c < row.classes; ++c) {
            sum += exp_of(simd::load<Floats>(row.stash + c * kLanes) - winner.value);
        }
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

std::uint64_t sigmoid(const ClassifyRow& asked) {
    return over_row(asked, [](const ClassifyRow& row, int x) {
        Winner winner = {logit(row, 0, x), Ints{}};
        for (int c = 1; c < row.classes; ++c) take(winner, logit(row, c, x), c);
        simd::store(row.wide_ids + x, winner.id);
        return probability(pixel::sigmoid<Floats, Words>(winner.value));
    });
}

// How many of `count` bytes are `id`: whole vectors of byte counters, emptied before they can overflow.
std::int64_t count_one(const std::uint8_t* ids, int count, std::uint8_t id) {
    using simd::Bytes;
    constexpr int kBytes = sizeof(Bytes);
    std::int64_t found = 0;
    int x = 0;
    while (x + kBytes <= count) {
        const int most = (count - x) / kBytes < 255 ? (count - x) / kBytes : 255;
        Bytes sums = {};
        for (int i = 0; i < most; ++i, x += kBytes) {
            sums -= reinterpret_cast<Bytes>(simd::load<Bytes>(ids + x) == id);
        }
        std::uint8_t each[kBytes];
        simd::store(each, sums);
        std::uint32_t sum = 0;
        for (int i = 0; i < kBytes; ++i) sum += each[i];
        found += sum;
    }
    for (; x < count; ++x) found += ids[x] == id;
    return found;
}

constexpr int kFewClasses = 16;  // up to here one sweep per class is faster than counting pixel by pixel

void count(const std::uint8_t* ids, int count, int classes, std::int64_t* areas) {
    if (classes <= kFewClasses) {
        std::int64_t rest = count;
        for (int c = 1; c < classes; ++c) {
            const std::int64_t found = count_one(ids, count, static_cast<std::uint8_t>(c));
            areas[c] += found;
            rest -= found;
        }
        areas[0] += rest;
        return;
    }
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

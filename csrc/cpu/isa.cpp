// Which copy of the row loops to use.
#include <atomic>
#include <cstring>

#include "cpu/rows.hpp"

namespace segrt {
namespace {

struct Isa {
    const char* name;
    bool (*supported)();
    Rows rows;
};

// Best first.
const Isa kIsas[] = {
#ifdef SEGRT_X86
    {"avx512",
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
     },
     {avx512::format_rows, avx512::preprocess_rows, avx512::glance_rows, avx512::postprocess_rows, avx512::steady_rows,
      avx512::overlay_rows}},
    // Every CPU with AVX2 also has F16C, which its files use.
    {"avx2",
     [] { return __builtin_cpu_supports("avx2") != 0; },
     {avx2::format_rows, avx2::preprocess_rows, avx2::glance_rows, avx2::postprocess_rows, avx2::steady_rows,
      avx2::overlay_rows}},
#endif
    {"baseline",
     [] { return true; },
     {baseline::format_rows, baseline::preprocess_rows, baseline::glance_rows, baseline::postprocess_rows,
      baseline::steady_rows, baseline::overlay_rows}},
};

const Isa* best() {
    for (const Isa& isa : kIsas) {
        if (isa.supported()) return &isa;
    }
    return nullptr;  // not reached: the last one is always supported
}

std::atomic<const Isa*>& current() {
    static std::atomic<const Isa*> isa{best()};
    return isa;
}

}  // namespace

const Rows& rows() { return current().load(std::memory_order_relaxed)->rows; }

const char* isa() { return current().load(std::memory_order_relaxed)->name; }

bool set_isa(const char* name) {
    if (std::strcmp(name, "auto") == 0) {
        current() = best();
        return true;
    }
    for (const Isa& isa : kIsas) {
        if (std::strcmp(name, isa.name) == 0 && isa.supported()) {
            current() = &isa;
            return true;
        }
    }
    return false;
}

}  // namespace segrt

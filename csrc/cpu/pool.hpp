// A few persistent threads for jobs of well under a millisecond.
#pragma once

namespace segrt {

constexpr int kMaxThreads = 64;

using Work = void (*)(const void* context, int chunk, int slot);

/// Run work(context, 0..chunks-1, slot) on up to `threads` threads, the caller among them, and return when all are
/// done.
///
/// A slot (0..threads-1) belongs to one thread at a time: scratch memory is indexed by it. Chunks are handed out in
/// order as threads become free, so a worker that the system wakes late costs nothing but its help. Where another call
/// is under way the caller does all of its own job. `work` must not throw.
void run_parallel(int threads, int chunks, Work work, const void* context);

/// The first of `rows` rows that chunk `chunk` of `chunks` gets; that of chunk + 1 is its end.
inline int first_row(int chunk, int chunks, int rows) {
    return static_cast<int>(static_cast<long long>(rows) * chunk / chunks);
}

template <class F>
void parallel(int threads, int chunks, const F& f) {
    run_parallel(
        threads, chunks,
        [](const void* context, int chunk, int slot) { (*static_cast<const F*>(context))(chunk, slot); }, &f);
}

}  // namespace segrt

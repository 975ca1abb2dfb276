#include "cpu/pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace segrt {
namespace {

// Back-to-back calls find the workers awake; between frames they sleep and leave the cores to the network.
constexpr auto kSpin = std::chrono::microseconds(30);

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

class Pool {
  public:
    void run(int threads, int chunks, Work work, const void* context) {
        std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
        if (threads > chunks) threads = chunks;
        if (threads > kMaxThreads) threads = kMaxThreads;
        if (threads < 2 || !owner.owns_lock() || !grow(threads - 1)) {
            for (int chunk = 0; chunk < chunks; ++chunk) work(context, chunk, 0);
            return;
        }
        work_ = work;
        context_ = context;
        chunks_ = chunks;
        threads_ = threads;
        next_.store(0, std::memory_order_relaxed);
        gate_.store(0, std::memory_order_release);  // open: workers may enter
        announce();
        drain(0);
        gate_.fetch_or(kClosed, std::memory_order_acq_rel);
        await_workers();
    }

  private:
    static constexpr unsigned kClosed = 0x80000000u;

    // Aim at `count` workers; false if the system grants none.
    bool grow(int count) {
        if (workers_ >= count) return true;
        sigset_t all, before;  // signals are the main thread's: Ctrl-C must interrupt what it waits for
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            for (; workers_ < count; ++workers_) std::thread(&Pool::live, this, workers_ + 1).detach();
        } catch (const std::exception&) {
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return workers_ > 0;
    }

    void announce() {
        generation_.fetch_add(1);
        if (sleeping_.load() > 0) {
            {
                std::lock_guard<std::mutex> lock(sleep_);
            }
            wake_.notify_all();
        }
    }

    void drain(int slot) {
        for (int chunk; (chunk = next_.fetch_add(1, std::memory_order_relaxed)) < chunks_;)
            work_(context_, chunk, slot);
    }

    [[noreturn]] void live(int slot) {
        unsigned seen = 0;
        for (;;) {
            seen = wait_for_news(seen);
            if (!enter()) continue;
            if (slot < threads_) drain(slot);
            leave();
        }
    }

    // Job fields may be read only between enter() and leave(): the owner waits for the last to leave.
    bool enter() {
        unsigned gate = gate_.load(std::memory_order_relaxed);
        while (!(gate & kClosed)) {
            if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
        }
        return false;
    }

    void leave() {
        if (gate_.fetch_sub(1, std::memory_order_acq_rel) - 1 != kClosed) return;
        {
            std::lock_guard<std::mutex> lock(sleep_);
        }
        left_.notify_one();
    }

    // A worker may have been put aside for another program: sleeping lets it have this core.
    void await_workers() {
        const auto empty = [this] { return gate_.load(std::memory_order_acquire) == kClosed; };
        if (spin_until(empty)) return;
        std::unique_lock<std::mutex> lock(sleep_);
        left_.wait(lock, empty);
    }

    unsigned wait_for_news(unsigned seen) {
        const auto news = [&] { return generation_.load() != seen; };
        if (!spin_until(news)) {
            std::unique_lock<std::mutex> lock(sleep_);
            sleeping_.fetch_add(1);
            wake_.wait(lock, news);
            sleeping_.fetch_sub(1);
        }
        return generation_.load();
    }

    template <class Condition>
    static bool spin_until(const Condition& met) {
        const auto deadline = std::chrono::steady_clock::now() + kSpin;
        do {
            for (int i = 0; i < 32; ++i) {
                if (met()) return true;
                pause();
            }
        } while (std::chrono::steady_clock::now() < deadline);
        return false;
    }

    std::mutex owner_;  // held by the one call that uses the workers
    int workers_ = 0;
    Work work_ = nullptr;
    const void* context_ = nullptr;
    int chunks_ = 0, threads_ = 0;
    alignas(64) std::atomic<int> next_{0};
    alignas(64) std::atomic<unsigned> gate_{kClosed};  // workers inside, and whether more may enter
    alignas(64) std::atomic<unsigned> generation_{0};
    std::atomic<int> sleeping_{0};
    std::mutex sleep_;
    std::condition_variable wake_, left_;
};

// Never destroyed: its threads sleep until the process ends, whatever the order in which statics go. After fork() the
// child has no workers and perhaps a locked mutex, so it starts with a new pool.
std::atomic<Pool*> the_pool{nullptr};

Pool& pool() {
    Pool* found = the_pool.load(std::memory_order_acquire);
    if (found) return *found;
    static const int registered = pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr); });
    (void)registered;
    Pool* fresh = new Pool;
    if (the_pool.compare_exchange_strong(found, fresh)) return *fresh;
    delete fresh;  // another thread was first
    return *found;
}

}  // namespace

void run_parallel(int threads, int chunks, Work work, const void* context) {
    if (threads < 2 || chunks < 2) {
        for (int chunk = 0; chunk < chunks; ++chunk) work(context, chunk, 0);
        return;
    }
    pool().run(threads, chunks, work, context);
}

}  // namespace segrt

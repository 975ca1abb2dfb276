// The threads of a block as fibers of one thread of the CPU.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "emulation.hpp"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {
namespace {

enum class State { kReady, kAtBarrier, kInWarp, kDone };

constexpr std::size_t kStack = 128 * 1024;
constexpr int kLanes = 32;

struct Fiber {
    ucontext_t first;  // until it has run; then `at`, which is much cheaper to switch to
    jmp_buf at;
    bool begun = false;
    State state = State::kReady;
    dim3 index;
};

struct Warp {
    int kind = 0, arrived = 0;
    std::uint64_t values[kLanes], result[kLanes];
};

std::vector<std::unique_ptr<char[]>> stacks;  // kept: making them anew would take longer than most kernels
std::vector<Fiber> fibers;
std::vector<Warp> warps;
jmp_buf scheduler;
std::size_t current;
const std::function<void()>* body;
std::string complaint;
int chosen_order = 0;
std::mt19937 random_bits;

void leave() {  // back to the scheduler, until it comes here again
    if (_setjmp(fibers[current].at) == 0) _longjmp(scheduler, 1);
}

void enter() {
    (*body)();
    fibers[current].state = State::kDone;
    _longjmp(scheduler, 1);
}

void resume(std::size_t i) {
    current = i;
    threadIdx = fibers[i].index;
    if (_setjmp(scheduler) != 0) return;
    if (fibers[i].begun) _longjmp(fibers[i].at, 1);
    fibers[i].begun = true;
    setcontext(&fibers[i].first);
}

void prepare(dim3 threads) {
    const std::size_t count = static_cast<std::size_t>(threads.x) * threads.y * threads.z;
    while (stacks.size() < count) stacks.emplace_back(new char[kStack]);
    fibers = std::vector<Fiber>(count);
    warps.assign((count + kLanes - 1) / kLanes, Warp());
    for (std::size_t i = 0; i < count; ++i) {
        Fiber& fiber = fibers[i];
        const unsigned n = static_cast<unsigned>(i);
        fiber.index = dim3(n % threads.x, n / threads.x % threads.y, n / threads.x / threads.y);
        getcontext(&fiber.first);
        fiber.first.uc_stack.ss_sp = stacks[i].get();
        fiber.first.uc_stack.ss_size = kStack;
        fiber.first.uc_link = nullptr;
        makecontext(&fiber.first, enter, 0);
    }
}

void put_in_order(std::vector<std::size_t>& order) {
    std::iota(order.begin(), order.end(), 0);
    if (chosen_order == kBackward) std::reverse(order.begin(), order.end());
    if (chosen_order == kShuffled) std::shuffle(order.begin(), order.end(), random_bits);
}

void run_block(dim3 threads) {
    prepare(threads);
    std::vector<std::size_t> order(fibers.size());
    const auto in_state = [](State state) {
        return std::count_if(fibers.begin(), fibers.end(), [=](const Fiber& f) { return f.state == state; });
    };
    for (;;) {
        put_in_order(order);
        bool moved = false;
        for (const std::size_t i : order) {
            if (fibers[i].state != State::kReady) continue;
            moved = true;
            resume(i);
            if (!complaint.empty()) return;
        }
        if (moved) continue;
        const auto done = in_state(State::kDone), waiting = in_state(State::kAtBarrier);
        if (done == static_cast<long>(fibers.size())) return;
        if (waiting != static_cast<long>(fibers.size())) {
            complaint = "threads wait for others that have ended, or wait elsewhere";
            return;
        }
        for (Fiber& fiber : fibers) fiber.state = State::kReady;
    }
}

}  // namespace

void set_order(int order, unsigned seed) {
    chosen_order = order;
    random_bits.seed(seed);
}

int lane() { return static_cast<int>(current % kLanes); }

void barrier() {
    fibers[current].state = State::kAtBarrier;
    leave();
}

const std::uint64_t* exchange(int kind, unsigned mask, std::uint64_t value) {
    Warp& warp = warps[current / kLanes];
    const std::size_t from = current / kLanes * kLanes;
    if (mask != 0xFFFFFFFFu || from + kLanes > fibers.size()) complaint = "a warp operation without all its lanes";
    if (warp.arrived > 0 && warp.kind != kind) complaint = "lanes of a warp are in different operations";
    warp.kind = kind;
    warp.values[current % kLanes] = value;
    if (++warp.arrived < kLanes && complaint.empty()) {
        fibers[current].state = State::kInWarp;
        leave();
    } else {
        warp.arrived = 0;
        std::copy(warp.values, warp.values + kLanes, warp.result);
        for (std::size_t i = from; i < from + kLanes && i < fibers.size(); ++i) fibers[i].state = State::kReady;
        if (!complaint.empty()) leave();
    }
    return warp.result;
}

void run(dim3 blocks, dim3 threads, const std::function<void()>& thread) {
    body = &thread;
    gridDim = blocks;
    blockDim = threads;
    std::vector<std::size_t> order(static_cast<std::size_t>(blocks.x) * blocks.y * blocks.z);
    put_in_order(order);
    complaint.clear();
    for (const std::size_t i : order) {
        const unsigned n = static_cast<unsigned>(i);
        blockIdx = dim3(n % blocks.x, n / blocks.x % blocks.y, n / blocks.x / blocks.y);
        run_block(threads);
        if (!complaint.empty()) return fail(complaint);
    }
}

}  // namespace emulated

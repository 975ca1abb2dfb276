// Launching a kernel as an ordinary function call, so that any compiler can read the files that do it.
#pragma once

#include "cuda/check.hpp"
#include "cuda/handles.hpp"

namespace segrt::cuda {

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, const Stream& stream, Arguments... arguments) {
    const OnDevice here(stream.device());
    cudaLaunchConfig_t config{};
    config.gridDim = blocks;
    config.blockDim = threads;
    config.stream = stream.handle();
    check(cudaLaunchKernelEx(&config, kernel, arguments...), "to launch a kernel");
}

/// Whether vectors of `bytes` can be read or written at an address and at every step from it.
inline bool aligned(const void* address, std::ptrdiff_t step, int bytes) {
    return reinterpret_cast<std::uintptr_t>(address) % bytes == 0 && step % bytes == 0;
}

inline unsigned blocks_for(int count, int each) { return static_cast<unsigned>((count + each - 1) / each); }

}  // namespace segrt::cuda

// segrt._core.cuda over the emulated GPU: the very bindings, handles and kernels, compiled by the host's compiler.
#include "cuda/launch.hpp"
#include "emulation.hpp"
#include "python/cuda_bindings.cpp"  // as a part of this file: pybind11's headers are slow to compile

namespace segrt {
namespace {

constexpr int kThreads = 64;

/// Each thread reads what another has written, with a barrier between or without.
__global__ void exchange_block(int* out, bool wait) {
    __shared__ int values[kThreads];
    const int thread = static_cast<int>(threadIdx.x);
    values[thread] = 1000 * static_cast<int>(blockIdx.x) + thread;
    if (wait) __syncthreads();
    out[kThreads * blockIdx.x + threadIdx.x] = values[kThreads - 1 - thread];
}

/// One thread goes home while the others wait for it.
__global__ void forsaken_block() {
    if (threadIdx.x != 0) __syncthreads();
}

/// Half a warp does one thing and half another.
__global__ void split_block() {
    if (threadIdx.x % 32 < 16) {
        __match_any_sync(0xFFFFFFFFu, 0);
    } else {
        __shfl_down_sync(0xFFFFFFFFu, 0, 1);
    }
}

}  // namespace
}  // namespace segrt

PYBIND11_MODULE(emulated_cuda, module) {
    using namespace segrt;
    bind_cuda(module);
    module.def("set_order", emulated::set_order, pybind11::arg("order"), pybind11::arg("seed") = 0);
    module.def("reset", emulated::reset);
    module.def("exchange", [](Address out, bool wait, const cuda::Stream& stream) {
        cuda::launch(exchange_block, dim3(2), dim3(kThreads), stream, at<int>(out), wait);
    });
    module.def("forsaken", [](const cuda::Stream& stream) { cuda::launch(forsaken_block, 1, kThreads, stream); });
    module.def("split", [](const cuda::Stream& stream) { cuda::launch(split_block, 1, kThreads, stream); });
}

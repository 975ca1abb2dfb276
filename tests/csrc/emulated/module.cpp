// segrt._core.cuda over the emulated GPU: the very bindings, handles and kernels, compiled by the host's compiler.
#include "emulation.hpp"
#include "python/cuda_bindings.cpp"  // as a part of this file: pybind11's headers are slow to compile

PYBIND11_MODULE(emulated_cuda, module) {
    segrt::bind_cuda(module);
    module.def("set_order", emulated::set_order, pybind11::arg("order"), pybind11::arg("seed") = 0);
}

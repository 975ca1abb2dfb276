// The submodule segrt._core.cuda.
#pragma once

#include <pybind11/pybind11.h>

namespace segrt {

void bind_cuda(pybind11::module_& module);

}  // namespace segrt

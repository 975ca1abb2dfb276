// What stands in for the files of this folder in a build without CUDA.
#include "cuda/device.hpp"

namespace segrt {

CudaDevices cuda_devices() { return {{}, "segrt was built without CUDA"}; }

}  // namespace segrt

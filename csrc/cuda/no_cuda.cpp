// What stands in for the files of this folder in a build without CUDA.
#include "cuda/device.hpp"

namespace segrt {

CudaDevices cuda_devices() { return {false, {}, "segrt was built without CUDA"}; }

}  // namespace segrt

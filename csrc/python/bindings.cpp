// The only file that knows Python. It turns arrays into pointers and strides; runtime/kernels.py has checked them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "cuda/device.hpp"
#include "ops.hpp"

namespace py = pybind11;

namespace segrt {
namespace {

// Numbers and names are read by hand: pybind11's own conversions of nested tuples cost more than a small kernel.
template <class Value, std::size_t kCount>
Value choose(const py::str& name, const std::array<const char*, kCount>& names) {
    const char* const text = PyUnicode_AsUTF8(name.ptr());
    if (!text) throw py::error_already_set();
    for (std::size_t i = 0; i < kCount; ++i) {
        if (std::strcmp(text, names[i]) == 0) return static_cast<Value>(i);
    }
    throw py::value_error(std::string("unknown name '") + text + "'");
}

py::handle item(py::handle tuple, int i) {
    PyObject* const found = PyTuple_GetItem(tuple.ptr(), i);  // borrowed
    if (!found) throw py::error_already_set();
    return found;
}

int whole(py::handle tuple, int i) {
    const long value = PyLong_AsLong(item(tuple, i).ptr());
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return static_cast<int>(value);
}

void three(py::handle tuple, float (&to)[3]) {
    for (int i = 0; i < 3; ++i) {
        const double value = PyFloat_AsDouble(item(tuple, i).ptr());
        if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
        to[i] = static_cast<float>(value);
    }
}

// In the order of the enums in ops.hpp.
const std::array<const char*, 7> kFormats = {"bgr", "rgb", "bgra", "gray8", "gray16", "nv12", "i420"};
const std::array<const char*, 3> kLayouts = {"nhwc_u8", "nchw_f32", "nchw_f16"};
const std::array<const char*, 2> kActivations = {"softmax", "sigmoid"};

/// Lets other Python threads run while it lives.
///
/// Unlike py::gil_scoped_release it survives the end of the interpreter, which ends a daemon thread that asks for the
/// lock by unwinding its stack: out of a destructor, and so with std::terminate for the whole process. Such a thread
/// stops here instead, as Python 3.14 has it.
class OthersMayRun {
  public:
    OthersMayRun() : state_(PyEval_SaveThread()) {}
    OthersMayRun(const OthersMayRun&) = delete;
    OthersMayRun& operator=(const OthersMayRun&) = delete;
    ~OthersMayRun() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // only that unwinding comes this way
            for (;;) pause();
        }
    }

  private:
    PyThreadState* state_;
};

Rect rect(py::handle box) { return {whole(box, 0), whole(box, 1), whole(box, 2), whole(box, 3)}; }

Placement placement(const py::tuple& from) {
    const py::handle frame = item(from, 0), input = item(from, 1);
    return {whole(frame, 0), whole(frame, 1),     whole(input, 0),
            whole(input, 1), rect(item(from, 2)), rect(item(from, 3))};
}

/// numpy leaves the stride of an axis of length 1 open; the kernels may then take the axis for contiguous.
std::ptrdiff_t stride(const py::array& array, int axis, std::ptrdiff_t natural) {
    return array.shape(axis) == 1 ? natural : array.strides(axis);
}

Image image(const py::array& array, Format format) {
    const bool channels = array.ndim() == 3;
    const std::ptrdiff_t channel = channels ? stride(array, 2, 1) : 1;
    const std::ptrdiff_t natural = channels ? array.shape(2) : array.itemsize();
    return {static_cast<const std::uint8_t*>(array.data()), array.strides(0), stride(array, 1, natural), channel,
            format};
}

Plane plane(const py::array& array) {
    return {static_cast<std::uint8_t*>(const_cast<void*>(array.data())), array.strides(0)};
}

void bind_preprocess(const py::array& frame, const py::str& format, const py::tuple& where, const py::array& out,
                     const py::str& layout, const py::tuple& mean, const py::tuple& std, bool rgb, int white,
                     bool bt709, bool full_range, int threads) {
    PreprocessJob job{};
    job.image = image(frame, choose<Format>(format, kFormats));
    job.placement = placement(where);
    three(mean, job.normalization.mean);
    three(std, job.normalization.std);
    job.normalization.rgb = rgb;
    job.reading = {white, bt709, full_range};
    job.layout = choose<Layout>(layout, kLayouts);
    job.out = const_cast<void*>(out.data());
    job.threads = threads;
    const OthersMayRun meanwhile;
    preprocess(job);
}

py::tuple bind_postprocess(const py::array& logits, const py::tuple& where, const py::str& activation,
                           const py::array& mask, const std::optional<py::array>& previous, int threads) {
    const int from = static_cast<int>(logits.ndim()) - 3;  // a batch of one, or none
    const std::ptrdiff_t item = logits.itemsize();
    PostprocessJob job{};
    job.logits = {static_cast<const std::uint8_t*>(logits.data()),
                  logits.strides(from),
                  logits.strides(from + 1),
                  stride(logits, from + 2, item),
                  static_cast<int>(logits.shape(from)),
                  static_cast<int>(logits.shape(from + 1)),
                  static_cast<int>(logits.shape(from + 2)),
                  item == 2};
    job.placement = placement(where);
    job.activation = choose<Activation>(activation, kActivations);
    job.mask = plane(mask);
    if (previous) job.previous = plane(*previous);
    job.threads = threads;
    Measured measured;
    {
        const OthersMayRun meanwhile;
        postprocess(job, measured);
    }
    const py::array_t<std::int64_t> areas(job.logits.classes, measured.areas);
    return py::make_tuple(areas, measured.confidence, measured.nonfinite, measured.changed);
}

void bind_overlay(const py::array& frame, const py::array& mask, const py::array_t<std::uint8_t>& palette,
                  const py::array_t<float>& alpha, const py::array& out, int threads) {
    OverlayJob job{};
    job.image = image(frame, Format::kBgr);
    job.out = image(out, Format::kBgr);
    job.height = static_cast<int>(frame.shape(0));
    job.width = static_cast<int>(frame.shape(1));
    job.channels = static_cast<int>(frame.shape(2));
    job.mask = static_cast<const std::uint8_t*>(mask.data());
    job.mask_row = mask.strides(0);
    job.mask_column = stride(mask, 1, 1);
    job.palette = palette.data();
    job.alpha = alpha.data();
    job.colours = static_cast<int>(palette.shape(0));
    job.threads = threads;
    const OthersMayRun meanwhile;
    overlay(job);
}

py::tuple bind_cuda_devices() {
    const CudaDevices found = cuda_devices();
    return py::make_tuple(found.names, found.reason);
}

void bind_set_isa(const std::string& name) {
    if (!set_isa(name.c_str())) throw py::value_error("this CPU or build has no " + name + " code");
}

}  // namespace
}  // namespace segrt

PYBIND11_MODULE(_core, module) {
    using namespace segrt;
    module.doc() = "segrt's pixel work in C++; segrt.runtime.kernels is its face.";
    module.def("preprocess", bind_preprocess);
    module.def("postprocess", bind_postprocess);
    module.def("overlay", bind_overlay);
    module.def("isa", isa);
    module.def("set_isa", bind_set_isa);
    module.def("cuda_devices", bind_cuda_devices);
}

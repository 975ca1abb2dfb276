// The module segrt._core. This folder alone knows Python: it turns arrays into pointers and strides, which
// runtime/kernels.py has checked.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "cuda/device.hpp"
#include "ops.hpp"
#include "python/convert.hpp"
#include "python/cuda_bindings.hpp"

namespace segrt {
namespace {

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

/// (rows, sums, cells, moved_level, flat_level).
Glance glance_in(const py::tuple& kept) {
    const auto array = [&](int i) { return py::reinterpret_borrow<py::array>(item(kept, i)); };
    const auto data = [](const py::array& of) { return const_cast<void*>(of.data()); };
    const py::array rows = array(0);
    return {static_cast<std::uint8_t*>(data(rows)),      static_cast<std::uint16_t*>(data(array(1))),
            static_cast<std::uint16_t*>(data(array(2))), static_cast<int>(rows.shape(0)),
            static_cast<std::uint8_t>(whole(kept, 3)),   static_cast<std::uint8_t>(whole(kept, 4))};
}

py::object bind_preprocess(const py::array& frame, const py::str& format, const py::tuple& where,
                           const std::optional<py::array>& out, const py::str& layout, const py::tuple& mean,
                           const py::tuple& std, bool rgb, int white, bool bt709, bool full_range, int threads,
                           const std::optional<py::tuple>& kept) {
    PreprocessJob job{};
    job.image = image(frame, choose<Format>(format, kFormats));
    job.placement = placement(where);
    three(mean, job.normalization.mean);
    three(std, job.normalization.std);
    job.normalization.rgb = rgb;
    job.reading = {white, bt709, full_range};
    job.layout = choose<Layout>(layout, kLayouts);
    job.out = out ? const_cast<void*>(out->data()) : nullptr;
    job.threads = threads;
    Glance glance{};
    Glanced glanced{};
    if (kept) {
        glance = glance_in(*kept);
        job.glance = &glance;
        job.glanced = &glanced;
    }
    {
        const OthersMayRun meanwhile;
        preprocess(job);
    }
    if (!kept) return py::none();
    return py::make_tuple(glanced.moved, glanced.farthest, glanced.outstanding, glanced.middle);
}

Logits logits_in(const py::array& logits) {
    const int from = static_cast<int>(logits.ndim()) - 3;  // a batch of one, or none
    const std::ptrdiff_t item = logits.itemsize();
    return {static_cast<const std::uint8_t*>(logits.data()),
            logits.strides(from),
            logits.strides(from + 1),
            stride(logits, from + 2, item),
            static_cast<int>(logits.shape(from)),
            static_cast<int>(logits.shape(from + 1)),
            static_cast<int>(logits.shape(from + 2)),
            item == 2};
}

py::tuple bind_postprocess(const py::array& logits, const py::tuple& where, const py::str& activation,
                           const py::array& mask, const std::optional<py::array>& previous, int threads) {
    PostprocessJob job{};
    job.logits = logits_in(logits);
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

void bind_steady(const py::array& logits, const py::tuple& seen, const py::array& state, const py::array& tally,
                 int threads) {
    SteadyJob job{};
    job.logits = logits_in(logits);
    job.seen = rect(seen);
    job.state = static_cast<float*>(const_cast<void*>(state.data()));
    job.tally = static_cast<SteadyTally*>(const_cast<void*>(tally.data()));
    job.threads = threads;
    const OthersMayRun meanwhile;
    steady(job);
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
    const cuda::Devices found = cuda::devices();
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
    module.def("steady", bind_steady);
    module.def("overlay", bind_overlay);
    module.def("isa", isa);
    module.def("set_isa", bind_set_isa);
    module.def("cuda_devices", bind_cuda_devices);
    auto cuda = module.def_submodule("cuda", "CUDA handles and kernels; segrt.runtime.cuda is their face.");
    bind_cuda(cuda);
}

// src/segrt/_core_cuda.pyi says what each name is for; runtime/cuda/kernels.py has checked the kernels' arguments.
#include "python/cuda_bindings.hpp"

#include "cuda/device.hpp"
#include "cuda/handles.hpp"
#include "cuda/kernels.hpp"
#include "python/convert.hpp"

namespace segrt {
namespace {

using Address = std::uintptr_t;

template <class T = std::uint8_t>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

Image image_at(Address address, std::ptrdiff_t pitch, Format format, std::ptrdiff_t channels) {
    return {at(address), pitch, channels, 1, format};
}

void bind_preprocess(Address frame, std::ptrdiff_t pitch, const py::str& format, const py::tuple& where, Address out,
                     const py::str& layout, const py::tuple& mean, const py::tuple& std, bool rgb, int white,
                     bool bt709, bool full_range, const cuda::Stream& stream) {
    const Format known = choose<Format>(format, kFormats);
    PreprocessJob job{};
    job.image = image_at(frame, pitch, known, channels_of(known));
    job.placement = placement(where);
    three(mean, job.normalization.mean);
    three(std, job.normalization.std);
    job.normalization.rgb = rgb;
    job.reading = {white, bt709, full_range};
    job.layout = choose<Layout>(layout, kLayouts);
    job.out = at<void>(out);
    cuda::preprocess(job, stream);
}

Logits logits_at(Address logits, bool half, const py::tuple& shape, const py::tuple& strides) {
    const auto step = [&](int i) {
        const Py_ssize_t values = PyLong_AsSsize_t(item(strides, i).ptr());
        if (values == -1 && PyErr_Occurred()) throw py::error_already_set();
        return static_cast<std::ptrdiff_t>(values * (half ? 2 : 4));
    };
    return {at(logits), step(0), step(1), step(2), whole(shape, 0), whole(shape, 1), whole(shape, 2), half};
}

void bind_postprocess(Address logits, bool half, const py::tuple& shape, const py::tuple& strides,
                      const py::tuple& where, const py::str& activation, Address mask, std::ptrdiff_t mask_pitch,
                      Address previous, std::ptrdiff_t previous_pitch, Address stats, const cuda::Stream& stream) {
    PostprocessJob job{};
    job.logits = logits_at(logits, half, shape, strides);
    job.placement = placement(where);
    job.activation = choose<Activation>(activation, kActivations);
    job.mask = {at(mask), mask_pitch};
    job.previous = {at(previous), previous_pitch};
    cuda::postprocess(job, at<void>(stats), stream);
}

void bind_steady(Address logits, bool half, const py::tuple& shape, const py::tuple& strides, const py::tuple& seen,
                 Address state, Address tally, const cuda::Stream& stream) {
    SteadyJob job{};
    job.logits = logits_at(logits, half, shape, strides);
    job.seen = rect(seen);
    job.state = at<float>(state);
    job.tally = at<SteadyTally>(tally);
    cuda::steady(job, stream);
}

void bind_overlay(Address image, std::ptrdiff_t pitch, int channels, int height, int width, Address mask,
                  std::ptrdiff_t mask_pitch, Address palette, Address alpha, int count, Address out,
                  std::ptrdiff_t out_pitch, const cuda::Stream& stream) {
    OverlayJob job{};
    job.image = image_at(image, pitch, Format::kBgr, channels);
    job.out = image_at(out, out_pitch, Format::kBgr, channels);
    job.height = height;
    job.width = width;
    job.channels = channels;
    job.mask = at(mask);
    job.mask_row = mask_pitch;
    job.mask_column = 1;
    job.palette = at(palette);
    job.alpha = at<float>(alpha);
    job.colours = count;
    cuda::overlay(job, stream);
}

void bind_devices(py::module_& module) {
    module.def("built", cuda::built);
    module.def("device_count", [] { return cuda::device_count(); });
    module.def(
        "properties",
        [](int device) {
            const cuda::Properties found = cuda::properties(device);
            return py::make_tuple(found.name, py::make_tuple(found.major, found.minor), found.bytes);
        },
        py::arg("device") = 0, py::pos_only());
    module.def("versions", [] { return py::make_tuple(cuda::driver_version(), cuda::runtime_version()); });
    module.def("device_of", [](Address address) { return cuda::device_of(at<void>(address)); });
}

template <class Handle>
Address handle_of(const Handle& object) {
    return reinterpret_cast<Address>(object.handle());
}

template <class Buffer>
Address address_of(const Buffer& buffer) {
    return reinterpret_cast<Address>(buffer.data());
}

void bind_handles(py::module_& module) {
    using cuda::DeviceBuffer, cuda::Event, cuda::Graph, cuda::PinnedBuffer, cuda::Stream;
    py::class_<Stream> stream(module, "Stream", py::is_final());
    py::class_<Event> event(module, "Event", py::is_final());
    stream.def(py::init<int>(), py::arg("device") = 0)
        .def_property_readonly("handle", handle_of<Stream>)
        .def_property_readonly("device", &Stream::device)
        .def("synchronize",
             [](const Stream& self) {
                 const OthersMayRun meanwhile;
                 self.synchronize();
             })
        .def("wait", &Stream::wait)
        .def("wait_stream", [](const Stream& self, Address handle) { self.wait_stream(at<CUstream_st>(handle)); });
    event.def(py::init<bool, int>(), py::arg("timing") = false, py::arg("device") = 0)
        .def("record", &Event::record)
        .def("synchronize",
             [](const Event& self) {
                 const OthersMayRun meanwhile;
                 self.synchronize();
             })
        .def("done", &Event::done)
        .def("elapsed_ms", &Event::elapsed_ms);
    py::class_<DeviceBuffer>(module, "DeviceBuffer", py::is_final())
        .def(py::init<std::size_t, int>(), py::arg("nbytes"), py::arg("device") = 0)
        .def_property_readonly("address", address_of<DeviceBuffer>)
        .def_property_readonly("nbytes", &DeviceBuffer::bytes)
        .def_property_readonly("device", &DeviceBuffer::device);
    py::class_<PinnedBuffer>(module, "PinnedBuffer", py::is_final(), py::buffer_protocol())
        .def(py::init<std::size_t>(), py::arg("nbytes"))
        .def_buffer([](const PinnedBuffer& self) {
            return py::buffer_info(static_cast<std::uint8_t*>(self.data()), static_cast<py::ssize_t>(self.bytes()));
        })
        .def_property_readonly("address", address_of<PinnedBuffer>)
        .def_property_readonly("nbytes", &PinnedBuffer::bytes);
    py::class_<Graph>(module, "Graph", py::is_final())
        .def_static("capture",
                    [](const Stream& on, const py::function& body) { return Graph::capture(on, [&] { body(); }); })
        .def("launch", [](const Graph& self, const Stream& on) {
            const OthersMayRun meanwhile;
            self.launch(on);
        });
}

}  // namespace

void bind_cuda(py::module_& module) {
    bind_devices(module);
    bind_handles(module);
    module.def("copy", [](Address to, Address from, std::size_t bytes, const cuda::Stream& stream) {
        cuda::copy(at<void>(to), at<void>(from), bytes, stream);
    });
    module.def("copy_rows", [](Address to, std::size_t to_pitch, Address from, std::size_t from_pitch,
                               std::size_t row_bytes, std::size_t rows, const cuda::Stream& stream) {
        cuda::copy_rows(at<void>(to), to_pitch, at<void>(from), from_pitch, row_bytes, rows, stream);
    });
    module.def("fill", [](Address to, int byte, std::size_t bytes, const cuda::Stream& stream) {
        cuda::fill(at<void>(to), byte, bytes, stream);
    });
    module.def("preprocess", bind_preprocess);
    module.def("stats_bytes", cuda::stats_bytes);
    module.def("postprocess", bind_postprocess);
    module.def("steady", bind_steady);
    module.def("overlay", bind_overlay);
}

}  // namespace segrt
